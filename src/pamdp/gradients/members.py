"""The strategies there are: one file each, named after its `kind`, and one line here."""

from typing import Annotated, Union

from pydantic import Discriminator

from pamdp.gradients.inverting import Inverting
from pamdp.gradients.plain import Plain
from pamdp.gradients.pseudo_inverse import PseudoInverse
from pamdp.gradients.reversal import Reversal
from pamdp.gradients.selective import Selective
from pamdp.gradients.squashing import Squashing
from pamdp.gradients.zeroing import Zeroing

STRATEGIES = (Plain, Zeroing, Squashing, Inverting, Reversal, Selective, PseudoInverse)

Member = Annotated[Union[STRATEGIES], Discriminator("kind")]  # noqa: UP007
