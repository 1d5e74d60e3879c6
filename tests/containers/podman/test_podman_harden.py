"""install-clawrden.sh in a build of podman's."""

import test_harden


def test_it_knows_that_it_is_in_a_build(engine):
    engine.image("alpine:shaped")
    result = test_harden.install(engine, "alpine:shaped", "git")
    assert result.code == 0 and "every path answers as a shim" in result.stdout + result.stderr, result
