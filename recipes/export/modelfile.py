"""Ollama's Modelfile: the GGUF file, the chat template in Go's text/template syntax, stop tokens and context length."""

from collections.abc import Set
from typing import Any

from data.chat_format import chat_format, render
from data.errors import UserError

SYSTEM, FIRST, ANSWER, SECOND = "SystemText", "FirstPrompt", "AnswerText", "SecondPrompt"


def modelfile(tokenizer: Any, stops: Set[int], positions: int, file: str) -> str:
    """The text of a Modelfile.

    Args:
        stops: ids of the tokens that end an answer. ``positions``: the longest context in tokens.
        file: name of the GGUF file beside it.

    Raises:
        UserError: the chat template is not made of a fixed text around each message.
    """
    texts = [tokenizer.decode([token]) for token in sorted(stops)]
    quoted = "\n".join(f'PARAMETER stop "{text}"' for text in texts)
    parameters = f"PARAMETER num_ctx {positions}\nPARAMETER temperature 0\n{quoted}"
    return f'FROM ./{file}\n\nTEMPLATE """{go_template(tokenizer)}"""\n\n{parameters}\n'


def go_template(tokenizer: Any) -> str:
    """The chat template with Ollama's variables ``.System`` and ``.Messages``.

    The text around each message is found by rendering conversations whose texts are known.

    Raises:
        UserError: a longer conversation is not rendered by the same pieces, or a piece holds Go's braces or quotes.
    """
    start, after_prompt = _around(tokenizer, [("user", FIRST)], [FIRST])
    _, _, after_answer, _ = _around(
        tokenizer, [("user", FIRST), ("assistant", ANSWER), ("user", SECOND)], [FIRST, ANSWER, SECOND]
    )
    begin = start
    pieces = [start, after_prompt, after_answer]
    if chat_format(tokenizer).takes_system:
        before, between, _ = _around(tokenizer, [("system", SYSTEM), ("user", FIRST)], [SYSTEM, FIRST])
        begin = f"{{{{ if .System }}}}{before}{{{{ .System }}}}{between}{{{{ else }}}}{start}{{{{ end }}}}"
        pieces += [before, between]
    conversation = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")]
    joined = start + after_prompt.join(["a", "b" + after_answer + "c", "d" + after_answer + "e", ""])
    if joined != _rendered(tokenizer, conversation) or any(mark in "".join(pieces) for mark in ("{{", "}}", '"""')):
        raise UserError("to=ollama: the chat template is no fixed text around each message; export it with to=gguf")
    answered = f'{{{{ else if eq .Role "assistant" }}}}{{{{ .Content }}}}{after_answer}'
    prompt_part = f'{{{{ if eq .Role "user" }}}}{{{{ .Content }}}}{after_prompt}'
    return f"{begin}{{{{ range .Messages }}}}{prompt_part}{answered}{{{{ end }}}}{{{{ end }}}}"


def _rendered(tokenizer: Any, messages: list[tuple[str, str]]) -> str:
    return render(tokenizer, [{"role": role, "content": text} for role, text in messages], add_generation_prompt=True)


def _around(tokenizer: Any, messages: list[tuple[str, str]], texts: list[str]) -> list[str]:
    """What the template writes before, between and after ``texts``.

    Raises:
        UserError: a text is not in what it writes, or is changed.
    """
    rest, pieces = _rendered(tokenizer, messages), []
    for text in texts:
        piece, found, rest = rest.partition(text)
        if not found:
            raise UserError("to=ollama: the chat template changes the messages; export it with to=gguf")
        pieces.append(piece)
    return [*pieces, rest]
