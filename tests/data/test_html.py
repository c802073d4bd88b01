"""Pages from templates: texts stay texts, and a forgotten value is an error."""

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from data.html import render


@pytest.fixture
def page(tmp_path):
    template = tmp_path / "page.html"
    template.write_text('<p title="{{ text }}">{{ text }}{{ html }}</p>\n')
    return template


def test_a_text_is_escaped_in_elements_and_attributes(page):
    made = render(page, text='<b> & "q"', html="")
    assert made == '<p title="&lt;b&gt; &amp; &#34;q&#34;">&lt;b&gt; &amp; &#34;q&#34;</p>\n'


def test_markup_is_not_escaped_twice(page):
    assert "<i>x</i>" in render(page, text="", html=Markup("<i>x</i>"))


def test_a_value_that_is_not_given_is_an_error(page):
    with pytest.raises(UndefinedError):
        render(page, text="")
