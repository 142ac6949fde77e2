"""What the process has loaded that exports fork from: TensorFlow, without its greetings."""

from pamdp import export
from pamdp.lazy import tf
from pamdp.stages import without_keras

__all__ = ["export", "saved_model"]

without_keras()
saved_model = tf.saved_model  # the first use loads it
