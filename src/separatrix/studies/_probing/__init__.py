"""Data-free probing: iterated noise as a dictionary of what a network has learnt, beside all that it must beat."""

from separatrix.studies._probing.appearance import Appearance, appearance
from separatrix.studies._probing.compare import DictionaryComparison, Standing
from separatrix.studies._probing.data_free import DataFreeDictionaries, data_free_dictionaries
from separatrix.studies._probing.dictionary import Dictionary, Role
from separatrix.studies._probing.headline import Conclusion
from separatrix.studies._probing.judgement import pooled
from separatrix.studies._probing.probe import probe
from separatrix.studies._probing.result import Probe

__all__ = [
    "Appearance",
    "Conclusion",
    "DataFreeDictionaries",
    "Dictionary",
    "DictionaryComparison",
    "Probe",
    "Role",
    "Standing",
    "appearance",
    "data_free_dictionaries",
    "pooled",
    "probe",
]
