"""The page in a notebook: the widget's own module in Chromium, wired to its Python side as a notebook wires them."""

from __future__ import annotations

import base64
import json
import struct
import sys

import pytest
import torch

from separatrix.errors import InputError
from separatrix.explorer import scene_of, widget
from separatrix.report import ModelResults

pytest.importorskip("anywidget", reason="anywidget is not installed: pip install -e .[dev]")

_NOTEBOOK = """async ([esm, traits]) => {
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const text = buffer => btoa(Array.from(new Uint8Array(buffer), c => String.fromCharCode(c)).join(''));
  const callbacks = new Set();
  const model = {
    get: name => traits[name],
    on: (name, callback) => name === 'msg:custom' && callbacks.add(callback),
    off: (name, callback) => callbacks.delete(callback),
    send: async (content, _, buffers) => {
      for (const [said, answer] of await window.kernel(content, buffers.map(text)))
        for (const callback of callbacks) callback(said, [new DataView(bytes(answer).buffer)]);
    },
  };
  const {default: made} = await import(URL.createObjectURL(new Blob([esm], {type: 'text/javascript'})));
  window.ended = made.render({model, el: document.querySelector('#one')});
  made.render({model, el: document.querySelector('#two')});
}"""


@pytest.fixture(scope="module")
def scene(demo_field, demo_limits):
    results = ModelResults(title="Notebook", subtitle="", latent_field=demo_field, searches={"digits": demo_limits})
    return scene_of(results, field_side=12, basin_side=8, live=True)


@pytest.fixture
def notebook(scene, demo_field):
    """The widget, and a function that hands it a message and gives back what it sends."""
    made = widget(demo_field, scene, height=700)
    sent = []
    made.send = lambda content, buffers: sent.append((content, *buffers))

    def kernel(content, buffers):
        sent.clear()
        made._handle_custom_msg(content, [memoryview(base64.b64decode(one)) for one in buffers])
        return [(said, base64.b64encode(answer).decode()) for said, answer in sent]

    return made, kernel


def test_its_orbits_are_pythons_in_every_cell_that_shows_it(browser, notebook, demo_field, random_starts):
    made, kernel = notebook
    context = browser.new_context(offline=True, reduced_motion="reduce")
    page = context.new_page()
    complaints, requests = [], []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: requests.append(asked.url))
    page.expose_function("kernel", kernel)
    page.set_content("<div id=one></div><div id=two></div>")
    page.evaluate(_NOTEBOOK, [made._esm, {"page": made.page, "height": made.height}])
    found = []
    for element in page.query_selector_all("iframe"):
        frame = element.content_frame()
        frame.wait_for_selector("html[data-separatrix=ready]")
        assert "in the kernel of this notebook" in frame.inner_text("#backend")
        found.append(frame.evaluate(
            """async starts => {
              const made = [];
              for (const z of starts) {
                const {orbit, done} = separatrix.start(Float32Array.from(z), false);
                await done;
                made.push([orbit.points.map(p => Array.from(p.z)), orbit.fate.kind]);
              }
              return made;
            }""",
            random_starts[:3].tolist(),
        ))  # fmt: skip
    assert found[0] == found[1]
    for start, (path, fate) in zip(random_starts[:3], found[0], strict=True):
        assert fate == "arrived"
        z = start[None]
        for point in path:
            assert float((torch.tensor([point]) - z).norm() / z.norm()) <= 1e-4
            z = demo_field(z)
    page.evaluate("ended()")
    assert page.locator("iframe").count() == 1
    assert complaints == []
    assert [url for url in requests if not url.startswith(("blob:", "data:", "about:"))] == []
    context.close()


def test_the_page_lets_nothing_out_and_knows_how_to_ask(notebook):
    made, _ = notebook
    assert "connect-src" not in made.page
    live = made.page.split('id="separatrix-live">')[1].split("</script>")[0]
    assert json.loads(live)["largest"] > 2**19


def test_a_message_that_is_no_question_is_answered_to_the_cell_that_sent_it(notebook):
    _, kernel = notebook
    for frame in (b"", b"x" * 9, struct.pack("<IBBHf", 5, 1, 1, 0, 0.0)):
        [(content, answer)] = kernel({"view": 3}, [base64.b64encode(frame).decode()])
        assert content == {"view": 3}
        assert base64.b64decode(answer)[4] == 2
    assert kernel({"view": 3}, [base64.b64encode(struct.pack("<IBBH", 5, 5, 1, 0)).decode()]) == []
    assert kernel("nothing", []) == []


def test_limit_sets_are_enough(demo_field, demo_limits, monkeypatch):
    assert "separatrix-live" in widget(demo_field, demo_limits).page
    monkeypatch.setitem(sys.modules, "anywidget", None)
    from separatrix.explorer import _widget

    _widget._kind.cache_clear()
    with pytest.raises(
        InputError, match=r"needs anywidget, which is not installed; pip install 'separatrix\[notebook\]'"
    ):
        widget(demo_field, demo_limits)
    _widget._kind.cache_clear()
