"""No request that can be made up from the server's own page breaks it, and no broken training file is accepted."""

from tests.serve.fuzz import fuzz_files, fuzz_routes


def test_no_request_ends_in_an_error_of_the_servers(served):
    tally = fuzz_routes(served, requests=5, seed=1)
    assert tally.problems == []
    assert tally.broken == 0
    assert {status // 100 for _, status in tally.replies} >= {2, 4}
    assert served.http("").get("/healthz").status_code == 200


def test_every_broken_training_file_is_refused_with_line_and_reason(served):
    assert [problem for problem in fuzz_files(served, files=40, seed=1) if problem] == []
