"""Why a benchmark could not be had. A MeshError, so that the command says it in one sentence.

BenchmarkError
├── GeneratorUnusable     the load generator did not start, or stopped answering
├── PathUnusable          what a cell would measure is not there, or does not answer rightly
├── UnreadableResults     results that this program cannot read
└── NotInstalled          a package or a program that this needs
"""

from mesh.errors import MeshError


class BenchmarkError(MeshError):
    pass


class GeneratorUnusable(BenchmarkError):
    pass


class PathUnusable(BenchmarkError):
    pass


class UnreadableResults(BenchmarkError):
    pass


class NotInstalled(BenchmarkError):
    pass
