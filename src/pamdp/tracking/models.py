"""Exported models in MLflow: on the run that trained them and in the registry."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence, Set
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pamdp.files import read_json
from pamdp.records import Run
from pamdp.tracking import policy
from pamdp.tracking.files import digest, files_below
from pamdp.tracking.pages import Results, sentence
from pamdp.tracking.sink import Signature
from pamdp.tracking.view import DIGEST, FINGERPRINT, View

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.types.schema import Schema

CHAMPION = "champion"
MODEL = "pamdp.model"  # the logged model of a version
LINKS = "mlflow.modelVersions"  # of a logged model
LOADER = "pamdp_policy"  # the name of the copied module

_log = logging.getLogger("pamdp.tracking")


def log_model(view: View, cell: str, signature: Signature) -> bool:
    """Logs the SavedModel `models/<cell>` on the cell's training run and registers it.

    The files are taken as they are; TensorFlow is not imported. The same files are registered
    once, however often this is called. A model of another training than the record's is left out,
    with a line that says so.

    Args:
      view: the experiment.
      cell: the cell, which is also the name in the model registry.
      signature: the tensors of the model.

    Returns:
      Whether it is shown.
    """
    if not _is_current(view, cell):
        _log.warning(
            "models/%s is not shown: it is of another training than metrics/train/%s. "
            "`dvc repro export` makes it anew.",
            cell,
            cell,
        )
        return False
    record = Run.read(view.root / "metrics" / "train" / cell / "record.json")
    run_id = view.sync(record, final=True)
    tags = {DIGEST: _content(view, cell), FINGERPRINT: record.fingerprint}
    about = f"The best seed of the cell `{cell}`, a version for each export."
    made = _version(view, cell, tags[DIGEST])
    if made is None:
        model = _logged(view, cell, run_id, tags, signature)
        made = _register(view, cell, model, tags)
    _describe(view, made, about, cell)
    return True


def crown(view: View) -> None:
    """Gives the alias `champion` of the study's registered model to the best cell's.

    That model has a version for each cell that was the best. A study of several environments has an
    alias for each, `champion-<environment>`. An experiment of DVC that runs beside the workspace
    crowns nobody.
    """
    best = {} if view.beside else Results(view.root).best()
    name = view.client.get_experiment(view.experiment_id).name
    wanted: dict[str, str] = {}
    for environment, cell in best.items():
        content = _content(view, cell)
        own, made = _version(view, cell, content), _version(view, name, content)
        if own is None or not _is_current(view, cell):
            continue  # not exported yet
        if made is None:
            model = view.client.get_logged_model(own.tags[MODEL])
            made = _register(view, name, model, own.tags | {"cell": cell})
        about = f"The best cell of the study `{name}`: the alias `{CHAMPION}` moves to it."
        _describe(view, made, about, cell)
        alias = CHAMPION if len(best) == 1 else f"{CHAMPION}-{environment}"
        wanted[alias] = str(made.version)
    if wanted:
        _set_aliases(view, name, wanted, best.keys())


def _set_aliases(view: View, name: str, wanted: Mapping[str, str], study: Set[str]) -> None:
    """Gives a study's aliases to their versions, and takes those that it has no more.

    Others are the user's. The champion of an environment whose best cell is not exported stays.

    Args:
      view: the experiment.
      name: of the registered model.
      wanted: alias to number of the version.
      study: the environments there are.
    """
    shown = {k: str(v) for k, v in view.client.get_registered_model(name).aliases.items()}
    versions = view.client.search_model_versions(f"name = '{name}'")
    environments = {str(v.version): v.tags["cell"].partition("-")[0] for v in versions}
    crowned = {environments[number] for number in wanted.values()}
    for alias in shown.keys() - wanted.keys():
        environment = environments.get(shown[alias])
        own = alias in {CHAMPION, *(f"{CHAMPION}-{each}" for each in environments.values())}
        if own and (environment not in study or environment in crowned):
            view.client.delete_registered_model_alias(name, alias)
    for alias, number in wanted.items():
        if shown.get(alias) != number:
            view.client.set_registered_model_alias(name, alias, number)


def _is_current(view: View, cell: str) -> bool:
    """Whether a model is of the training whose record stands beside it."""
    made = view.root / "models" / cell / "training.json"
    record = view.root / "metrics" / "train" / cell / "record.json"
    if not (made.is_file() and record.is_file()):
        return False
    return read_json(made, dict).get("fingerprint") == Run.read(record).fingerprint


def _content(view: View, cell: str) -> str:
    """A hash of a model's files, and of what calls them."""
    folder = f"models/{cell}"
    # TensorFlow's fingerprint is random, and the model loads without it.
    random = f"{folder}/fingerprint.pb"
    files = [path for path in files_below(view.root, folder) if path != random]
    loader = Path(str(policy.__file__)).read_text(encoding="utf-8")
    return digest(view.root, files, {LOADER: loader})


def _version(view: View, name: str, content: str) -> "ModelVersion | None":
    """The version of a registered model that has these files."""
    found = view.client.search_model_versions(f"name = '{name}' and tags.`{DIGEST}` = '{content}'")
    return found[0] if found else None


def _logged(
    view: View, cell: str, run_id: str, tags: dict[str, str], signature: Signature
) -> "LoggedModel":
    """The logged model of a run with these tags; what a process that was killed began is ended."""
    from mlflow.entities import LoggedModelOutput

    query = f"source_run_id = '{run_id}' AND tags.`{DIGEST}` = '{tags[DIGEST]}'"
    found = view.client.search_logged_models([view.experiment_id], query)
    model = (
        found[0]
        if found
        else view.client.create_logged_model(view.experiment_id, cell, run_id, tags)
    )
    if model.status == "READY":
        return model
    with TemporaryDirectory() as scratch:
        _write(Path(scratch), model, signature)
        view.client.log_model_artifacts(model.model_id, scratch)
    folder = str(view.root / "models" / cell)
    view.client.log_model_artifacts(model.model_id, folder, policy.FOLDER)
    outputs = view.client.get_run(run_id).outputs
    if not outputs or model.model_id not in {each.model_id for each in outputs.model_outputs}:
        view.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    # Last, so that an interrupted upload is done again.
    return view.client.finalize_logged_model(model.model_id, "READY")


def _register(view: View, name: str, model: "LoggedModel", tags: dict[str, str]) -> "ModelVersion":
    if not view.client.search_registered_models(f"name = '{name}'"):
        view.client.create_registered_model(name)
    # The location itself: "models:/<id>" would be looked up at the process-wide address.
    source, run_id, model_id = model.artifact_location, model.source_run_id, model.model_id
    tags = tags | {MODEL: model_id}  # which a database does not keep
    made = view.client.create_model_version(name, source, run_id, tags, model_id=model_id)
    links = json.loads(model.tags.get(LINKS, "[]"))
    links.append({"name": name, "version": made.version})
    view.client.set_logged_model_tags(model_id, {LINKS: json.dumps(links)})
    return made


def _describe(view: View, version: "ModelVersion", about: str, cell: str) -> None:
    """Says in the registry what a version is, and how it did."""
    if view.client.get_registered_model(version.name).description != about:
        view.client.update_registered_model(version.name, about)
    record = Run.read(view.root / "metrics" / "train" / cell / "record.json")
    if found := Results(view.root).summary.get(cell):
        text = f"`{cell}`: {sentence(record, found)}"
        if version.description != text:
            view.client.update_model_version(version.name, version.version, text)


def _write(folder: Path, model: "LoggedModel", signature: Signature) -> None:
    """Writes what makes a SavedModel an MLflow model into `folder`."""
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature

    # Said to be of type hints, which means that the model itself looks at what it is given: MLflow
    # would refuse float64, NumPy's default.
    tensors = ModelSignature(_schema(signature["inputs"]), _schema(signature["outputs"]))
    tensors._is_signature_from_type_hint = True
    description = Model(
        artifact_path=model.name,
        model_uuid=model.model_id,
        model_id=model.model_id,
        run_id=model.source_run_id,
        signature=tensors,
    )
    # MLflow's name for "a SavedModel, called by one of its signatures": it takes and gives named
    # tensors. Its "tf2-module" takes a single unnamed array and calls the object itself.
    description.add_flavor(
        "tensorflow",
        model_type="tf1-estimator",
        saved_model_dir=policy.FOLDER,
        meta_graph_tags=["serve"],
        signature_def_key="serving_default",
    )
    environment, code = "python_env.yaml", "code"
    pyfunc.add_to_model(description, LOADER, code=code, python_env=environment)
    description.save(str(folder / "MLmodel"))
    (folder / code).mkdir()
    shutil.copyfile(str(policy.__file__), folder / code / f"{LOADER}.py")
    pins = [f"{package}=={version(package)}\n" for package in ("mlflow", "numpy", "tensorflow")]
    (folder / "requirements.txt").write_text("".join(pins))
    (folder / environment).write_text(
        f"python: {python_version()}\nbuild_dependencies: [pip]\n"
        "dependencies: [-r requirements.txt]\n"
    )


def _schema(tensors: Sequence[tuple[str, str, Sequence[int]]]) -> "Schema":
    import numpy as np
    from mlflow.types.schema import Schema, TensorSpec

    return Schema([TensorSpec(np.dtype(kind), tuple(shape), name) for name, kind, shape in tensors])
