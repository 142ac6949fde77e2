"""What the process has loaded that workers are forked from: TensorFlow, without its greetings."""

from pamdp.base.lazy import prepare_process, tf

prepare_process()
saved_model = tf.saved_model  # the first use loads it
