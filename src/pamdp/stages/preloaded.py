"""What the process has loaded that exports fork from: TensorFlow, without its greetings."""

from pamdp import export
from pamdp.lazy import tf

__all__ = ["export", "saved_model"]

saved_model = tf.saved_model  # the first use loads it
