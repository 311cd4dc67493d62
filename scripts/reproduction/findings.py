"""The paper's findings as yes or no, each with the figures that say so."""

from __future__ import annotations

from typing import Any

from reproduction.finding import NOT_ASKED, Finding
from reproduction.findings_curves import curve_findings
from reproduction.findings_neurons import neuron_findings
from reproduction.findings_probes import kinds, probe_findings

Evidence = dict[str, Any]


def all_findings(evidence: Evidence) -> list[Finding]:
    """In the order of the page: classifiers, models under ablation, neurons."""
    found = [
        *probe_findings(evidence),
        *curve_findings(evidence),
        *neuron_findings(evidence),
        kinds(evidence),
    ]
    return [finding for finding in found if finding.verdict != NOT_ASKED]
