"""The next step on the Domain page: what it says about the MX hosts beside the policy to paste."""

from streamlit.testing.v1 import AppTest


def part() -> None:
    from dashboard.decision.verdict import decide
    from dashboard.views.domain import next_step
    from tests.dashboard.decision.worlds import daily, evidence

    known = evidence(*daily(), mx_hosts=("mx1.receiver.example", "mx7.receiver.example"))
    next_step.render(known, decide(known))


def test_a_host_that_the_operator_named_is_in_the_policy_and_announced() -> None:
    app = AppTest.from_function(part, default_timeout=60).run()
    assert not app.exception
    texts = [text.value for text in app.text]
    assert "mx7.receiver.example is added, because you named it as an MX host." in texts
    assert any(text.startswith("Untested: mx7.receiver.example. ") for text in texts)
    assert "mx: mx2.receiver.example\nmx: mx7.receiver.example\n" in app.code[0].value
