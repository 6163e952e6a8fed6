"""Commands that change a running mesh: how they reach its control plane, in whose name."""

from mesh.cli.settings import actor
from mesh.commands import Command
from mesh.control.client import ControlClient
from mesh.control.replies import Executed
from mesh.errors import SubstrateError
from mesh.substrates.laptop.places import Places


async def execute(mesh: Places, command: Command, reason: str) -> Executed:
    """Raises: SubstrateError (the mesh is down), and what ControlClient.execute raises."""
    if not mesh.control_socket.exists():
        raise SubstrateError(f"{mesh.name} is down; `meshlog up` starts it")
    async with ControlClient(mesh.control_address) as control:
        return await control.execute(command, actor=actor(), reason=reason)
