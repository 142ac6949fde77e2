"""pamdp: a laboratory for deep Q-learning with parameterised actions.

Importing it registers its environments with Gymnasium, `pamdp/Platform-v0` among them; TensorFlow
is imported when the first of them is made.
"""

from pamdp.envs import register

__all__ = ["__version__"]

__version__ = "0.1.0"

register()
