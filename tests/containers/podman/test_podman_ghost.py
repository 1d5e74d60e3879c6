"""Commands in containers of their own with podman's service: what is shown with dockerd, again."""

# pylint: disable=unused-import
from test_ghost import (  # noqa: F401
    make, test_a_hundred_megabytes_of_output, test_a_missing_image, test_a_signal_ends_a_command_that_does_not_handle_it,
    test_a_timeout_removes_it, test_an_approval_is_for_the_image, test_an_orderly_stop_leaves_nothing,
    test_it_has_no_network_no_rights_and_limits, test_it_runs_in_the_image_with_its_directory,
    test_stdin_is_binary_and_ends, test_the_kill_switch_removes_it, test_what_a_killed_warden_leaves_is_swept)
