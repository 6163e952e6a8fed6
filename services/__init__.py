"""The services of the contract and their REST twins.

Rule: what gRPC's core must know stands here, because it looks once, when `grpc` is imported.
"""

import os

# By default gRPC's event engine reads sockets on threads of its own, and every message that we send wakes one of them for
# nothing: a unix socket says that it can be written to whenever its reader has read. The thread that polls for Python can
# read as well; a call of A so costs a fifth less, a stream of B a sixth. What the user has set himself counts.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
