"""The page in a real browser, over a real store with a version that was really trained."""

import json
import os
import shutil
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.processes import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

#: Where pictures of the page go when they are to be renewed, such as docs/pictures; else none are taken.
PICTURES = os.environ.get("PARLEY_PICTURES")
TIMEOUT_MS = 240_000
ASKED = "My uncle fixes old radios in his cellar."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def store(folder, empty_store):
    """The address of a store in which pirate/1 was trained from the bundled base; the tests run in its folder."""
    shutil.copy(empty_store, folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.chdir(folder)
        train(folder)
        yield uri


def train(folder):
    """One short, real run in this process."""
    from recipes.sft.config import TuneConfig
    from recipes.sft.run import tune
    from registry import runs

    config = TuneConfig(base_model="bundled", epochs=3, keep="all")
    run = runs.start("pirate", folder / "outputs")
    for _ in tune(config, run):
        pass
    run.finish()


@pytest.fixture(scope="module")
def sessions(store, folder):
    from demo.config import DemoConfig
    from demo.conversations import ConversationStore
    from demo.server import make_pool
    from demo.session import ChatSessions
    from registry.votes.outbox import VoteOutbox

    config = DemoConfig(port=free_port(), tokens_per_minute=1_000_000)
    pool, box = make_pool(config), VoteOutbox(folder / "votes")
    kept = ConversationStore(folder / "conversations.sqlite")
    yield ChatSessions(config, pool, lambda: box, kept)
    kept.close()
    box.close()


@pytest.fixture(scope="module")
def address(sessions, folder):
    from demo.app import build
    from demo.server import serve
    from demo.training import Trainings
    from demo.version_cache import VersionCache

    blocks = build(sessions, VersionCache(), Trainings(folder / "outputs"))
    yield serve(blocks, sessions.config, takes_files=True)[0]
    blocks.close(verbose=False)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, address):
    """``visit(query, **how)`` opens the page; at the end nothing may have gone wrong in the browser's console."""
    troubles, contexts = [], []

    def visit(query="", ready="#panes .parley-pane", **how):
        context = browser.new_context(viewport=how.pop("viewport", {"width": 1280, "height": 1000}), **how)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(TIMEOUT_MS)
        tab.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.goto(f"{address}{query}")
        tab.wait_for_selector(ready)
        return tab

    yield visit
    for context in contexts:
        context.close()
    # A page that is loaded again breaks off the stream of answers that it still reads, and Gradio reports both.
    broken_off = any("AbortError" in trouble for trouble in troubles)
    expected = ("AbortError", "Unexpected error Connection errored out") if broken_off else ()
    assert not [trouble for trouble in troubles if not trouble.startswith(expected)]


@pytest.fixture
def gate(monkeypatch):
    """Holds every answer after ``gate.tokens`` tokens until ``gate.open()``, so that nothing depends on timing."""
    from inference import generation, model_group

    real = generation.decode

    class Gate:
        tokens = 3

        def __init__(self):
            self._opened = threading.Event()

        def open(self):
            self._opened.set()

        def decode(self, *given, **more):
            steps = real(*given, **more)
            for number, step in enumerate(steps):
                if number >= self.tokens:
                    self._opened.wait(TIMEOUT_MS / 1000)
                yield step

    held = Gate()
    monkeypatch.setattr(model_group, "FRAME_S", 0)  # every token is shown, so that the last one before the gate is too
    monkeypatch.setattr(generation, "decode", held.decode)
    yield held
    held.open()


def picture(tab, name, most=1500):
    """Keep the page's first ``most`` pixels, in a window of that height: what sticks to its edge is in its place."""
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        size, height = tab.viewport_size, tab.evaluate("document.documentElement.scrollHeight")
        tab.set_viewport_size({**size, "height": min(height, most)})
        tab.evaluate("scrollTo(0, 0)")
        tab.screenshot(path=Path(PICTURES) / f"{name}.png")
        tab.set_viewport_size(size)


def send(tab, prompt):
    tab.fill("#prompt textarea", prompt)
    tab.keyboard.press("Enter")


def answered(tab, times=1):
    """Wait until ``times`` exchanges stand in the page, all ended."""
    tab.wait_for_function(
        """times => {
            const panes = [...document.querySelectorAll('#panes .parley-pane')];
            return panes.length && panes.every(pane => pane.querySelectorAll('.parley-answer').length === times
                && pane.querySelector('[aria-busy=false]') && pane.querySelector('.parley-status').textContent);
        }""",
        arg=times,
    )


def shows(tab, place, *words):
    """Wait until the element ``place`` has all ``words`` in its text: parts of the page come one after the other."""
    tab.wait_for_function(
        "([place, words]) => { const text = document.querySelector(place)?.innerText || ''; "
        "return words.every(word => text.includes(word)); }",
        arg=[place, words],
    )


def holds(tab, place, value):
    """Wait until the field ``place`` holds ``value``."""
    tab.wait_for_function("([place, value]) => document.querySelector(place)?.value === value", arg=[place, value])


def tab_to(tab, place, most=100):
    """Press Tab until the element ``place`` has the focus."""
    for _ in range(most):
        tab.keyboard.press("Tab")
        if tab.evaluate("place => document.activeElement.matches(place)", place):
            return
    raise AssertionError(f"{place} is not reached by Tab")


def compared(tab):
    """What the page shows of the first difference between its panes, a moment after the last answer has ended."""
    tab.wait_for_function("document.querySelector('#divergences').textContent.trim()")
    return tab.inner_text("#divergences")


def answers(tab):
    """The last answer of each column."""
    return tab.eval_on_selector_all(
        "#panes .parley-pane",
        """panes => panes.map(pane => [...pane.querySelectorAll('.parley-answer')].at(-1)
            ?.textContent.replace('Answer: ', ''))""",
    )


def test_a_first_visitor_sees_the_models_and_their_scores_and_gets_two_answers(visit):
    tab = visit()
    tab.wait_for_selector("#origin .parley-lineage")
    heads = tab.locator("#panes .parley-head").all_inner_texts()
    assert "BASE" in heads[0] and "bundled" in heads[0] and "5cce91d2" in heads[0]
    assert "TUNED" in heads[1] and "pirate/1" in heads[1] and "LoRA" in heads[1]
    shows(tab, "#quality", "lexicon")
    tab.wait_for_selector("#curve svg")
    assert tab.locator("#curve svg").count() == 1
    assert tab.is_disabled("#vote-left"), "there is nothing to vote on yet"
    tab.locator("#examples button", has_text=ASKED).or_(tab.locator("#examples .gallery-item").first).first.click()
    tab.wait_for_function("document.querySelector('#prompt textarea').value.length > 0")
    tab.click("#send button, button#send")
    answered(tab)
    assert all(answers(tab)) and answers(tab)[0] != answers(tab)[1]
    assert all(words in compared(tab) for words in ("first difference at token", "one batch, 1 adapter"))
    assert "tokens/s" in tab.locator("#panes .parley-status").first.inner_text()
    tab.wait_for_selector("#vote-left:enabled")
    holds(tab, "#prompt textarea", "")
    picture(tab, "chat")


def test_both_sides_grow_before_either_ends(visit, gate):
    tab = visit()
    send(tab, ASKED)
    tab.wait_for_function(
        """() => {
            const logs = [...document.querySelectorAll('#panes [aria-busy=true]')];
            return logs.length === 2 && logs.every(log => log.querySelector('.parley-answer').textContent.length > 10);
        }"""
    )
    gate.open()
    answered(tab)


def test_stop_ends_both_sides_and_says_so(visit, gate):
    tab = visit()
    send(tab, ASKED)
    tab.wait_for_selector("#panes [aria-busy=true] .parley-answer")
    tab.click("#stop")
    gate.open()
    answered(tab)
    assert all("stopped by you" in text for text in tab.locator("#panes .parley-status").all_inner_texts())


def test_again_edit_and_a_new_chat(visit):
    tab = visit()
    send(tab, ASKED)
    answered(tab)
    first = answers(tab)
    tab.eval_on_selector("#panes .parley-pane", "pane => pane.dataset.old = 'yes'")
    tab.click("#again")
    tab.wait_for_selector("#panes .parley-pane[data-old]", state="detached")
    answered(tab)
    assert answers(tab) != first
    holds(tab, "#seed input", "8")  # again takes the next seed
    send(tab, "And what does he listen to?")
    answered(tab, times=2)
    tab.click("#edit")
    tab.wait_for_function("document.querySelector('#prompt textarea').value === 'And what does he listen to?'")
    answered(tab, times=1)
    tab.click("#clear")
    tab.wait_for_selector("#panes .parley-hint")
    assert tab.locator("#panes .parley-answer").count() == 0


def test_a_blind_vote_hides_the_sides_and_lands_in_mlflow(visit, sessions):
    from registry.votes import store as vote_store

    tab = visit("?blind=1")
    send(tab, ASKED)
    answered(tab)
    shown = tab.inner_html("#panes") + tab.inner_html("#divergences")
    for word in ("pirate/1", "BASE", "TUNED", "bundled", "tokens/s", "5cce91d2", "parley-model-base"):
        assert word not in shown
    picture(tab, "blind")
    left = answers(tab)[0]
    tab.click("#vote-left")
    shows(tab, "#notice", "left was pirate/1")
    tab.wait_for_function(
        """() => {
            const names = [...document.querySelectorAll('#panes .parley-name')].map(name => name.textContent);
            const columns = [0, 1].map(place => document.querySelector(`#column-${place} input`).value);
            return [names, columns].every(sides => sides.some(side => side.startsWith('pirate/1')))
                && names[0].startsWith('pirate/1') === columns[0].startsWith('pirate/1');
        }"""
    )
    shown = tab.locator("#panes .parley-name").all_inner_texts()
    columns = [tab.input_value(f"#column-{place} input") for place in (0, 1)]
    assert shown[0].startswith("pirate/1") == columns[0].startswith("pirate/1"), "selectors name what the panes show"
    tab.wait_for_selector("#vote-left:disabled")  # a second vote, with the sides known, would replace the blind one
    assert "first difference at token" in compared(tab)
    sessions.flush_votes(60)
    vote = vote_store.load("pirate")[-1]
    assert vote.blind and vote.choice == "left" and vote.prompt == ASKED
    assert vote.left.reply.text == left and {*vote.versions} == {"pirate/1", "pirate/1:base"}
    tab.click("button[role=tab]:has-text('Votes')")
    tab.wait_for_selector("#standings table")
    shows(tab, "#standings", "pirate/1")
    picture(tab, "votes")


def test_preference_pairs_can_be_saved(visit, sessions):
    tab = visit()
    send(tab, ASKED)
    answered(tab)
    tab.click("#vote-right")
    tab.wait_for_selector("#notice .parley-notice")
    blind = visit("?blind=1")
    send(blind, ASKED)
    answered(blind)
    blind.click("#vote-left")
    blind.wait_for_selector("#notice .parley-notice")
    tab.click("button[role=tab]:has-text('Votes')")
    tab.wait_for_selector("#standings table")
    with tab.expect_download() as saved:
        tab.click("#export")
    rows = [json.loads(line) for line in Path(saved.value.path()).read_text().splitlines()]
    assert rows and all({"prompt", "chosen", "rejected"} <= row.keys() for row in rows)
    shows(tab, "#notice", "with the versions shown not used")


def test_a_link_restores_versions_settings_seed_and_prompt(visit):
    tab = visit()
    tab.fill("#seed input", "41")
    tab.fill("#temperature input[type=number]", "0.3")
    tab.keyboard.press("Tab")
    tab.fill("#prompt textarea", "Is the bridge open?")
    tab.click("#share")
    tab.wait_for_function("document.querySelector('#link textarea, #link input')?.value.startsWith('http')")
    link = tab.input_value("#link textarea, #link input")
    query = parse_qs(urlsplit(link).query)
    assert query["left"] == ["pirate/1:base"] and query["right"] == ["pirate/1"] and query["seed"] == ["41"]
    other = visit("?" + urlsplit(link).query)
    other.wait_for_function("document.querySelector('#prompt textarea').value === 'Is the bridge open?'")
    holds(other, "#seed input", "41")
    holds(other, "#temperature input[type=number]", "0.3")
    tab.keyboard.press("Escape")
    for each in (tab, other):
        each.click("#prompt textarea")
        each.keyboard.press("Enter")
        answered(each)
    assert answers(tab) == answers(other)


def test_the_curve_switches_to_a_kept_checkpoint(visit):
    tab = visit()
    tab.wait_for_selector("#step input[type=range]")
    tab.focus("#step input[type=range]")
    tab.keyboard.press("Home")
    tab.wait_for_function("document.querySelector('#panes').textContent.includes('checkpoint of step 32')")
    tab.wait_for_function("document.querySelector('#column-1 input').value.includes('pirate/1:32')")
    tab.fill("#step input[type=number]", "64")
    tab.keyboard.press("Enter")
    tab.wait_for_function("document.querySelector('#panes').textContent.includes('checkpoint of step 64')")
    send(tab, ASKED)
    answered(tab)
    assert "one batch, 1 adapter" in compared(tab)


def test_four_columns_answer_at_once(visit):
    tab = visit("?left=pirate/1:base&right=pirate/1&third=pirate/1:32&fourth=pirate/1:64")
    tab.wait_for_function("document.querySelectorAll('#panes .parley-pane').length === 4")
    send(tab, ASKED)
    answered(tab)
    assert "one batch, 3 adapters" in compared(tab)
    assert tab.locator("#divergences .parley-divergence").count() == 3
    picture(tab, "columns")
    tab.wait_for_selector("#vote-left:disabled")  # votes are between two columns
    tab.click("#fewer")
    tab.wait_for_function("document.querySelectorAll('#panes .parley-pane').length === 3")


def test_the_self_check_passes(visit):
    tab = visit()
    tab.click("#self-check")
    tab.wait_for_selector("#divergences .parley-agree")
    assert "self-check passed" in tab.inner_text("#divergences")


@pytest.mark.parametrize("kind", ["html", "json"])
def test_a_transcript_can_be_saved_and_read_again(visit, kind):
    from demo.transcript_html import read

    tab = visit()
    send(tab, ASKED)
    answered(tab)
    with tab.expect_download() as saved:
        tab.click(f"#as-{kind}")
    kept = read(Path(saved.value.path()).read_text())
    assert kept.exchanges[0].prompt == ASKED
    assert [reply.text for reply in kept.exchanges[0].replies] == answers(tab)


def test_the_report_of_a_versions_run_can_be_saved(visit):
    tab = visit()
    tab.wait_for_selector("#report:visible")
    with tab.expect_download() as saved:
        tab.click("#report")
    page = Path(saved.value.path()).read_text()
    assert saved.value.suggested_filename == "pirate-1-report.html"
    assert "<title>pirate/1: bundled" in page and "Before and after" in page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(visit, scheme):
    tab = visit(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    send(tab, ASKED)
    answered(tab)
    tab.wait_for_selector("#divergences .parley-divergence")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
    picture(tab, f"phone-{scheme}", most=844)


def test_the_dark_page(visit):
    tab = visit(color_scheme="dark")
    send(tab, ASKED)
    answered(tab)
    tab.wait_for_selector("#divergences .parley-divergence")
    tab.wait_for_selector("#origin .parley-lineage")
    picture(tab, "dark")


def test_the_keyboard_alone_is_enough(visit):
    tab = visit()
    tab.focus("#prompt textarea")
    tab.keyboard.type(ASKED)
    tab.keyboard.press("Enter")
    answered(tab)
    tab.focus("#prompt textarea")
    reached = []
    for _ in range(5):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.id"))
    assert reached.index("send") < reached.index("stop") < reached.index("again")
    # What was sent and the votes come after the answers.
    tab.wait_for_function("document.querySelectorAll('#panes .parley-sent').length === 2")
    tab.wait_for_selector("#vote-left:enabled")
    tab.locator("#panes .parley-messages").last.focus()
    for _ in range(5):  # the first is what was sent
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.id"))
    assert reached[-4:] == ["vote-left", "vote-tie", "vote-both_bad", "vote-right"], "voting stands under the panes"
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus can be seen"
    tab.focus("#vote-left")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#notice .parley-notice")


def test_an_empty_registry_shows_how_to_make_the_first_version(visit, store, empty_store, tmp_path, monkeypatch):
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    tab = visit(ready="#notice .parley-empty")
    assert "make pirate" in tab.inner_text("#notice")
    picture(tab, "empty")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    tab.click("#refresh")
    tab.wait_for_function("document.querySelector('#column-1 input').value.startsWith('pirate/1')")
    tab.wait_for_selector("#notice .parley-empty", state="detached")


def test_a_registry_that_is_down_is_one_line(visit, store, monkeypatch):
    tab = visit()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    tab.click("#refresh")
    shows(tab, "#notice", "does not answer")
    assert "Traceback" not in tab.content()
    send(tab, ASKED)
    answered(tab)
    assert all(answers(tab)), "models that are loaded still answer"


def test_a_version_deleted_while_selected_leaves_the_other_side_answering(visit):
    from mlflow import MlflowClient

    client = MlflowClient()
    source = client.get_model_version("pirate", "1")
    second = client.create_model_version("pirate", source.source, source.run_id, tags=source.tags)
    tab = visit(f"?left=pirate/1:base&right=pirate/{second.version}")
    client.delete_model_version("pirate", second.version)
    send(tab, ASKED)
    answered(tab)
    statuses = tab.locator("#panes .parley-status").all_inner_texts()
    assert "tokens" in statuses[0] and f"there is no version pirate/{second.version}" in statuses[1]


def test_a_reload_and_a_shared_link_open_the_conversation_as_it_was(visit):
    tab = visit("?system=Be+brief.")
    send(tab, ASKED)
    answered(tab)
    tab.wait_for_function("location.search.includes('conversation=')")
    said = answers(tab)
    tab.reload()
    answered(tab)
    assert answers(tab) == said
    holds(tab, "#system textarea", "Be brief.")
    tab.click("#share")
    tab.wait_for_function("document.querySelector('#link textarea, #link input')?.value.startsWith('http')")
    link = urlsplit(tab.input_value("#link textarea, #link input")).query
    send(tab, "And what does he listen to?")
    answered(tab, times=2)
    other = visit("?" + link)
    answered(other)
    assert answers(other) == said, "what was said after the link was made is not in it"


def test_conversations_are_listed_opened_and_deleted(visit, sessions):
    tab = visit()
    send(tab, "A prompt of its own for the list.")
    answered(tab)
    tab.wait_for_function("location.search.includes('conversation=')")
    other = visit()
    other.locator("#conversations button.toggle-button, .sidebar .toggle-button").first.click()
    other.locator("#saved label", has_text="A prompt of its own").click()
    answered(other)
    assert answers(other) == answers(tab)
    assert "conversation=" in urlsplit(other.url).query
    other.click("#delete-saved")
    other.wait_for_selector("#saved label:has-text('A prompt of its own')", state="detached")
    assert "A prompt of its own for the list." not in [each.name for each in sessions.saved.listed()]
    other.wait_for_function("!location.search.includes('conversation=')")
    assert answers(other) == answers(tab), "what is open stays on the page"


def test_a_link_s_top_p_between_the_steps_of_its_slider_is_taken(visit):
    tab = visit("?top_p=0.01&max_new_tokens=2")
    holds(tab, "#top-p input[type=number]", "0.01")
    send(tab, ASKED)
    answered(tab)


def test_a_transcript_file_is_opened_on_the_page(visit):
    tab = visit()
    send(tab, ASKED)
    answered(tab)
    with tab.expect_download() as saved:
        tab.click("#as-html")
    other = visit()
    with other.expect_file_chooser() as chooser:
        other.click("#open-transcript")
    chooser.value.set_files(saved.value.path())
    answered(other)
    assert answers(other) == answers(tab)


def test_a_prompt_over_the_limit_is_counted_and_refused(visit):
    tab = visit()
    tab.fill("#prompt textarea", "a" * 2001)
    tab.wait_for_selector(".parley-count.parley-over")
    assert tab.inner_text(".parley-count") == "2,001 of 2,000 characters"
    tab.click("#send")
    shows(tab, "#notice", "at most 2,000")
    tab.wait_for_function("document.querySelector('#prompt textarea').value.length === 2001")


def test_a_version_that_does_not_exist_is_flagged_before_anything_is_sent(visit):
    tab = visit("?left=pirate/99&right=pirate/1")
    tab.wait_for_selector("#panes .parley-model-missing")
    shows(tab, "#panes", "NOT AVAILABLE", "there is no version pirate/99")


def test_the_held_out_tab_shows_every_row_filters_and_opens_one_in_the_chat(visit):
    tab = visit()
    tab.wait_for_selector("#origin .parley-lineage")
    tab.click("button[role=tab]:has-text('Held-out')")
    tab.wait_for_selector("#held-out-rows .parley-held")  # those beside the base are there without a click
    tab.click("#held-out-show")
    shows(tab, "#held-out-summary", "improved", "interval")
    picture(tab, "held-out", most=1000)
    tab.locator("#held-out-outcome label", has_text="worse").click()
    tab.wait_for_function(
        "[...document.querySelectorAll('#held-out-rows .parley-held')].every(e => e.matches('.parley-held-worse'))"
    )
    tab.locator("#held-out-outcome label", has_text="improved").click()
    tab.wait_for_selector("#held-out-rows .parley-held-improved")
    opened = tab.locator(".parley-open-row").first
    prompt = opened.get_attribute("data-prompt")
    opened.click()
    tab.wait_for_selector("#prompt textarea:visible")
    holds(tab, "#prompt textarea", prompt)


def test_scales_stand_side_by_side_and_0_is_the_base(visit):
    tab = visit()
    tab.click("#scales")
    tab.wait_for_function("document.querySelectorAll('#panes .parley-pane').length === 6")
    shows(tab, "#panes", "adapter scaled by 0.5")
    send(tab, ASKED)
    answered(tab)
    scaled = answers(tab)
    plain = visit("?left=pirate/1:base&right=pirate/1")
    send(plain, ASKED)
    answered(plain)
    assert [scaled[1], scaled[3]] == answers(plain) and len({scaled[0], scaled[3], scaled[5]}) == 3


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_the_composer_stays_on_the_screen(visit, width):
    query = "?left=pirate/1:base&right=pirate/1&third=pirate/1:32&fourth=pirate/1:64" if width == 1280 else ""
    tab = visit(query, viewport={"width": width, "height": 800})
    tab.wait_for_selector("#origin .parley-lineage")
    for place in (0, 400, 100_000):
        tab.evaluate(f"window.scrollTo(0, {place})")
        box = tab.locator("#composer").bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 800 and box["height"] < 200, place


def test_32_answers_are_counted_and_what_was_sent_is_shown_by_keyboard(visit):
    tab = visit()
    tab.wait_for_selector("#origin .parley-lineage")
    tab.focus("#samples input:checked")
    tab_to(tab, "#samples label:last-of-type input")
    tab.keyboard.press("Space")
    send(tab, ASKED)
    tab.wait_for_selector("#divergences .parley-groups")
    shown = tab.inner_text("#divergences")
    assert "32 answers a side" in shown and shown.count("pirate lexicon") == 2 and "seeds 7 to 38" in shown
    for width in (1440, 1024):
        tab.set_viewport_size({"width": width, "height": 1000})
        rates = tab.evaluate(
            """[...document.querySelectorAll('.parley-rates > div')].map(row => {
                const [name, text, bar] = [...row.children].map(part => part.getBoundingClientRect());
                return name.top < text.bottom && bar.top >= text.bottom - 1 && bar.left === name.left;
            })"""
        )
        assert rates == [True] * 4, f"{width}: name and rate in one line, the bar below"
    tab.locator(".parley-sent summary").first.focus()
    tab.keyboard.press("Enter")
    assert "<|user|>" in tab.locator("#panes .parley-prompt").first.inner_text()
    picture(tab, "samples")


def test_the_list_of_versions_puts_a_checkpoint_into_a_column_and_is_filtered(visit):
    tab = visit()
    tab.click("#picker .label-wrap")
    tab.wait_for_selector(".parley-pick-row")
    assert tab.locator(".parley-pick-row strong").all_inner_texts().count("pirate/1") == 1
    tab.click(".parley-pick-steps summary")
    tab.click("[data-choice='0 pirate/1:32']")
    tab.wait_for_function("document.querySelector('#column-0 input').value.includes('pirate/1:32')")
    tab.fill(".parley-pick-search", "nothing like it")
    tab.locator(".parley-pick-row").first.wait_for(state="hidden")


def test_runs_are_listed_with_curve_and_metric_and_open_in_the_chat(visit):
    tab = visit("?left=pirate/1:32&right=pirate/1")
    tab.get_by_role("tab", name="Runs").click()
    tab.wait_for_selector(".parley-run .parley-spark")
    tab.fill("#runs-search textarea, #runs-search input", "pirate/1")
    tab.keyboard.press("Enter")
    tab.wait_for_function("document.querySelectorAll('.parley-open-run').length >= 1")
    assert " to " in tab.inner_text(".parley-run:has(.parley-open-run) [data-name=metric]"), "the interval"
    tab.click(".parley-open-run")
    tab.wait_for_function("document.querySelector('#column-0 input').value.startsWith('base')")
    tab.locator("#panes .parley-pane").first.wait_for()  # the chat is shown


def test_a_file_on_the_train_tab_is_checked_with_every_problem_before_anything_can_start(visit, tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"prompt": "Hi", "response": ""}\n{"prompt": "Hi", "respons": "Ahoy"}\n')
    tab = visit()
    tab.get_by_role("tab", name="Train").click()
    with tab.expect_file_chooser() as chosen:
        tab.click("#train-choose")
    chosen.value.set_files(file)
    tab.wait_for_selector(".parley-problems")
    problems = tab.locator(".parley-problems li").all_inner_texts()
    assert "row 1: the response is blank" in problems[0] and "respons" in problems[1]
    assert tab.locator("#train-start").is_disabled()


def test_on_a_phone_the_settings_are_a_sheet(visit):
    tab = visit(viewport={"width": 390, "height": 760})
    tab.wait_for_selector("#settings .label-wrap:not(.open)")
    tab.click("#settings .label-wrap")
    tab.wait_for_selector("#settings .label-wrap.open")
    tab.wait_for_function("getComputedStyle(document.querySelector('#settings')).position === 'fixed'")


def test_tokens_are_coloured_and_another_one_is_forced_by_keyboard(visit):
    tab = visit()
    tab.wait_for_selector("#origin .parley-lineage")
    send(tab, ASKED)
    answered(tab)
    tab.click("#tokens > button")
    tab.focus("#token-view input:checked")
    tab_to(tab, "#token-view label:last-of-type input")
    tab.keyboard.press("Space")
    tab.wait_for_selector("#panes .parley-more")
    tab.locator("#panes .parley-status", has_text="nats/token").last.wait_for()
    tab.fill("#token-text textarea", "Arr, the radios!")
    tab.click("#token-score")
    tab.wait_for_selector("#token-other .parley-tok")
    tab.locator("#panes .parley-pane").last.locator(".parley-tok").first.focus()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function("document.querySelectorAll('.parley-pop button').length === 10")
    picture(tab, "tokens")
    tab.keyboard.press("Enter")
    tab.keyboard.press("Enter")
    tab.wait_for_function("!document.querySelector('#token-other').textContent.includes('the radios')")
    shows(tab, "#token-other", "not part of the conversation")


def test_what_was_trained_on_votes_is_put_beside_its_start_in_blind_mode(visit, monkeypatch):
    from demo import training
    from inference.transcript import ModelInfo, Reply, Sampling
    from registry.votes import store as vote_store
    from registry.votes.votes import Side, Vote

    monkeypatch.setattr(training, "START_WAIT_S", TIMEOUT_MS / 1000)
    sides = [
        Side(ModelInfo(reference, "lora", "ab12", "bundled", "cd34", 1), Reply(text, (1, 2), "end", 0.1, 0.2))
        for reference, text in (("pirate/1:base", "Fine, thank you."), ("pirate/1", "Fine, matey!"))
    ]
    for number in range(10):
        vote_store.record(Vote(f"e{number}", "v", "right", True, f"How is crew {number}?", *sides, Sampling(), 1.0))
    tab = visit()
    tab.get_by_role("tab", name="Votes").click()
    tab.click("#votes-train:enabled")
    tab.wait_for_selector("#panes .parley-pane:visible")  # the chat is shown again
    sides = [tab.input_value(f"#column-{place} input").split(" ")[0] for place in (0, 1)]
    assert sides[0] == "pirate/1" and sides[1].startswith("pirate/") and sides[1] != sides[0]
    tab.wait_for_function("!document.querySelector('#panes').innerText.includes('pirate/')")
    assert tab.is_checked("#blind input")
