"""The strategies there are: one file each, named after its `kind`, and one line here."""

from pamdp.base.component import union_of
from pamdp.base.strategy import Strategy
from pamdp.strategies.inverting import Inverting
from pamdp.strategies.plain import Plain
from pamdp.strategies.pseudo_inverse import PseudoInverse
from pamdp.strategies.reversal import Reversal
from pamdp.strategies.selective import Selective
from pamdp.strategies.squashing import Squashing
from pamdp.strategies.zeroing import Zeroing

MEMBERS: dict[str, type[Strategy]] = {
    "plain": Plain,
    "zeroing": Zeroing,
    "squashing": Squashing,
    "inverting": Inverting,
    "reversal": Reversal,
    "selective": Selective,
    "pseudo_inverse": PseudoInverse,
}

Member = union_of(MEMBERS)
