"""What ``--user-dir user_dir`` imports: registers the models and tasks of the plugin."""

import fairseq_neuron_plugin.register  # noqa: F401
