"""Real Envoys take their configuration from the ADS server, and say what they think of it."""


from mesh.tests.envoys import apps, get, running, topology, until


async def test_a_call_passes_edge_and_sidecar_that_were_configured_by_ads() -> None:
    wanted = topology()
    async with running() as mesh, apps(mesh, wanted):
        await mesh.start_control_plane()
        mesh.publish(wanted, 3)
        await mesh.start_all(wanted)
        await until(lambda: len(mesh.said) == 2, "both nodes accept")
        answer = await get(wanted)
        assert answer.text == "v1", mesh.log("edge")
        assert answer.headers["x-meshlog-position"] == "3"
