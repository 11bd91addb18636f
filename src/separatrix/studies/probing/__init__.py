"""Data-free probing: iterated noise as a dictionary of what a network has learnt, beside all that it must beat."""

from separatrix.studies.probing.appearance import Appearance, appearance
from separatrix.studies.probing.compare import Comparison, Verdict
from separatrix.studies.probing.data_free import DataFreeDictionaries, data_free_dictionaries
from separatrix.studies.probing.dictionary import Dictionary, Role
from separatrix.studies.probing.headline import Finding
from separatrix.studies.probing.judgement import pooled
from separatrix.studies.probing.probe import probe
from separatrix.studies.probing.result import Probe

__all__ = [
    "Appearance",
    "Comparison",
    "DataFreeDictionaries",
    "Dictionary",
    "Finding",
    "Probe",
    "Role",
    "Verdict",
    "appearance",
    "data_free_dictionaries",
    "pooled",
    "probe",
]
