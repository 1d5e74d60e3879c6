"""Labels, mirror and the kill switch with podman's service: what is shown with dockerd, again."""

# pylint: disable=unused-import
from test_labels import (  # noqa: F401
    governed, is_intercepted, known, make, start, test_a_container_ends_and_is_removed,
    test_a_labelled_container_is_governed, test_everything_but_the_parent_dies,
    test_hardened_covers_absolute_paths_and_aliases, test_restarted_containers_are_governed_again)
from test_mirror import (  # noqa: F401
    test_a_container_that_ends_takes_its_runners_with_it, test_an_approval_and_a_grant_are_one_containers,
    test_two_mebibytes_of_arguments, test_what_was_approved_is_what_runs, test_where_it_is_and_how_it_ends)
from test_switch import test_a_paused_jail_and_its_kill, test_one_of_two_is_killed  # noqa: F401

import harness


def test_the_service_is_restarted(engine, make):  # noqa: F811  pylint: disable=redefined-outer-name
    """Containers live on without it: theirs is a conmon each."""
    warden = make()
    first = start(engine, jail="first")
    governed(warden, first)
    engine.process.terminate()
    engine.process.wait(30)
    harness.wait_for(lambda: warden.cli_json("status")["engine"]["answers"] is False, what="the loss of the service")
    before = len(warden.journal())
    engine.launch()
    second = start(engine, jail="second")
    governed(warden, second, "second")
    assert first.id in known(warden)
    governed(warden, first, "first")
    assert is_intercepted(warden, first) and is_intercepted(warden, second)
    assert not [record for record in warden.journal()[before:]
                if record["event"] == "container" and record.get("container") == first.id
                and "gone" in record.get("message", "")]
