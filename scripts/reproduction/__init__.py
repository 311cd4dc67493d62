"""The paper, reproduced: the parts of ``../reproduce_paper.py``.

What is asked for: ``config`` and ``configs/``; where it lies: ``layout``, ``folder``.
Steps, each a command: ``preparation``, ``training``, ``annotation`` (by ``tagger``), ``analyses``
(``months``, ``chosen_neurons``), ``curves``; run and resumed by ``runner``, tried out by ``trial``.
What the files of a finished run say: ``evidence``, ``evidence_models``, ``evidence_neurons``,
``label_words``; asked by ``evidence_views``.
Whether the paper's claims hold: ``findings``, one module each for probes, curves and neurons.
The page: ``page`` puts together the ``…_sections``, ``published.yaml`` and the hand-written
``reading``; ``markdown`` and ``heatmap`` draw.
"""
