"""Exported models in MLflow: on the run that trained them and in the registry."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pamdp.records import Run
from pamdp.tracking.files import digest, files_below
from pamdp.tracking.sink import Signature
from pamdp.tracking.view import DIGEST, FINGERPRINT, View

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.types.schema import Schema

FOLDER = "saved_model"


def log_model(view: View, cell: str, signature: Signature) -> None:
    """Logs the SavedModel `models/<cell>` on the cell's training run and registers it.

    The files are taken as they are; TensorFlow is not imported. The same files are registered
    once, however often this is called.

    Args:
      view: the experiment.
      cell: the cell, which is also the name in the model registry.
      signature: the tensors of the model.
    """
    from mlflow.entities import LoggedModelOutput

    record = Run.read(view.root / "metrics" / "train" / cell / "record.json")
    run_id = view.sync(record, final=True)
    folder = f"models/{cell}"
    # TensorFlow's fingerprint is random, and the model loads without it.
    random = f"{folder}/fingerprint.pb"
    content = digest(view.root, [path for path in files_below(view.root, folder) if path != random])
    if view.client.search_model_versions(f"name = '{cell}' and tags.`{DIGEST}` = '{content}'"):
        return
    tags = {DIGEST: content, FINGERPRINT: record.fingerprint}
    model = view.client.create_logged_model(view.experiment_id, cell, run_id, tags)
    with TemporaryDirectory() as scratch:
        _describe(Path(scratch), model, signature)
        view.client.log_model_artifacts(model.model_id, scratch)
    view.client.log_model_artifacts(model.model_id, str(view.root / folder), FOLDER)
    view.client.finalize_logged_model(model.model_id, "READY")
    view.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    _register(view, model, tags)


def _register(view: View, model: "LoggedModel", tags: dict[str, str]) -> None:
    name = model.name
    if not view.client.search_registered_models(f"name = '{name}'"):
        view.client.create_registered_model(name)
    # The location itself: "models:/<id>" would be looked up at the process-wide address.
    source, run_id, model_id = model.artifact_location, model.source_run_id, model.model_id
    made = view.client.create_model_version(name, source, run_id, tags, model_id=model_id)
    link = json.dumps([{"name": name, "version": made.version}])
    view.client.set_logged_model_tags(model_id, {"mlflow.modelVersions": link})


def _describe(folder: Path, model: "LoggedModel", signature: Signature) -> None:
    """Writes what makes a SavedModel an MLflow model into `folder`."""
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature

    description = Model(
        artifact_path=model.artifact_location,
        model_uuid=model.model_id,
        model_id=model.model_id,
        run_id=model.source_run_id,
        signature=ModelSignature(_schema(signature["inputs"]), _schema(signature["outputs"])),
    )
    # MLflow's name for "a SavedModel, called by one of its signatures": it takes and gives named
    # tensors. Its "tf2-module" takes a single unnamed array and calls the object itself.
    description.add_flavor(
        "tensorflow",
        model_type="tf1-estimator",
        saved_model_dir=FOLDER,
        meta_graph_tags=["serve"],
        signature_def_key="serving_default",
    )
    environment = "python_env.yaml"
    pyfunc.add_to_model(description, loader_module="mlflow.tensorflow", python_env=environment)
    description.save(str(folder / "MLmodel"))
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
