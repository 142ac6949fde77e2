"""The environments there are: one file each, named after its `kind`, and one line here."""

from typing import Annotated, Union

from pydantic import Discriminator

from pamdp.envs.base import Environment
from pamdp.envs.platform import Platform

MEMBERS: dict[str, type[Environment]] = {"platform": Platform}

Member = Annotated[Union[tuple(MEMBERS.values())], Discriminator("kind")]  # noqa: UP007
