// What only a browser can do: save and open a file, compose a link, count, and let keys do what a pointer does.
// Each function of `parley` returns the new value of its field.
window.parley = {
  save(file) {
    if (!file) return "";
    const { name, text } = JSON.parse(file);
    const address = URL.createObjectURL(new Blob([text]));
    const anchor = Object.assign(document.createElement("a"), { href: address, download: name });
    document.body.append(anchor);
    anchor.click();
    anchor.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    return "";
  },
  // The text of a transcript file that the visitor chooses; of a page, the JSON inside it.
  open() {
    const input = Object.assign(document.createElement("input"), { type: "file", accept: ".html,.json" });
    return new Promise((resolve) => {
      input.addEventListener("cancel", () => resolve(""));
      input.addEventListener("change", async () => {
        const text = await input.files[0].text();
        const page = new DOMParser().parseFromString(text.trimStart().startsWith("<") ? text : "", "text/html");
        const kept = page.querySelector("script#transcript")?.textContent ?? text;
        try {
          resolve(JSON.stringify(JSON.parse(kept))); // without its indents: a request's length is limited
        } catch {
          resolve(kept.slice(0, 1000)); // no transcript, which the server says
        }
      });
      input.click();
    });
  },
  // A file of rows that the visitor drops or chooses, as JSON with its name and its content in base64.
  rows() {
    const most = 16 << 20;
    const read = (file) =>
      new Promise((resolve) => {
        if (!file) return resolve("");
        if (file.size > most) return resolve(JSON.stringify({ problem: `${file.name} is above 16 MB; write its path below` }));
        const reader = new FileReader();
        reader.addEventListener("load", () =>
          resolve(JSON.stringify({ name: file.name, content: reader.result.slice(reader.result.indexOf(",") + 1) })));
        reader.addEventListener("error", () => resolve(JSON.stringify({ problem: `${file.name} can't be read` })));
        reader.readAsDataURL(file);
      });
    const dropped = parley.dropped;
    parley.dropped = null;
    if (dropped) return read(dropped);
    const input = Object.assign(document.createElement("input"), { type: "file" });
    return new Promise((resolve) => {
      input.addEventListener("cancel", () => resolve(""));
      input.addEventListener("change", () => read(input.files[0]).then(resolve));
      input.click();
    });
  },
  // The ids of the runs whose boxes are ticked.
  runs: () => [...document.querySelectorAll(".parley-run-box:checked")].map((box) => box.value).join(" "),
  link(query) {
    const address = location.origin + location.pathname + "?" + query;
    history.replaceState(null, "", address);
    navigator.clipboard?.writeText(address).catch(() => {});
    return address;
  },
  // The address of the open conversation, so that a reload shows it again.
  keep(id) {
    const query = new URLSearchParams(location.search);
    if (id) query.set("conversation", id);
    else query.delete("conversation");
    const text = query.toString();
    history.replaceState(null, "", location.pathname + (text && "?" + text));
    return id;
  },
};
for (const kind of ["dragover", "dragleave", "drop"])
  document.addEventListener(kind, (event) => {
    const zone = event.target.closest?.("#train-drop");
    document.querySelector("#train-drop")?.classList.toggle("parley-over-drop", kind === "dragover" && !!zone);
    if (!zone) return;
    event.preventDefault();
    if (kind !== "drop" || !event.dataTransfer.files.length) return;
    parley.dropped = event.dataTransfer.files[0];
    document.querySelector("#train-choose").click();
  });
// Gradio's slider tells of a change when the pointer goes up and when its number loses the focus.
document.addEventListener("keyup", (event) => {
  const moves = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];
  if (moves.includes(event.key) && event.target.matches?.("#step input[type=range]"))
    event.target.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches?.("#step input[type=number]")) event.target.blur();
});
// The list of versions: its filters, and its buttons.
const filterVersions = (box) => {
  const words = box.querySelector(".parley-pick-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = [...box.querySelectorAll(".parley-pick-filter:checked")].map((filter) => filter.value);
  for (const row of box.querySelectorAll(".parley-pick-row")) {
    const text = row.dataset.text.toLowerCase();
    row.hidden = !(words.every((word) => text.includes(word)) && wanted.every((name) => row.dataset[name] === "1"));
  }
  for (const group of box.querySelectorAll(".parley-pick-model, .parley-pick-cells")) {
    group.hidden = !group.querySelector(".parley-pick-row:not([hidden])");
    if (words.length && !group.hidden) group.open = true;
  }
};
document.addEventListener("input", (event) => {
  const box = event.target.closest?.(".parley-picker");
  if (box) filterVersions(box);
});
document.addEventListener("click", (event) => {
  const version = event.target.closest?.(".parley-pick");
  if (!version) return;
  parley.pick = version.dataset.choice;
  document.querySelector("#picker-choose").click();
});
document.addEventListener("click", (event) => {
  const run = event.target.closest?.(".parley-open-run");
  if (!run) return;
  parley.pair = run.dataset.pair;
  document.querySelector("#runs-open").click();
});
document.addEventListener("click", (event) => {
  const run = event.target.closest?.(".parley-run-answers");
  if (!run) return;
  parley.run = run.dataset.run;
  document.querySelector("#runs-more").click();
});
document.addEventListener("click", (event) => {
  const row = event.target.closest?.(".parley-open-row");
  if (!row) return;
  const field = document.querySelector("#prompt textarea");
  field.value = row.dataset.prompt;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  [...document.querySelectorAll("button[role=tab]")].find((tab) => tab.textContent.trim() === "Chat")?.click();
  field.focus();
});
// On a phone the settings are a sheet, which is closed at first.
const closeSheet = setInterval(() => {
  const bar = document.querySelector("#settings .label-wrap.open");
  if (!bar) return;
  clearInterval(closeSheet);
  if (matchMedia("(max-width: 640px)").matches) bar.click();
}, 200);
// The counter of the prompt's characters, as the server counts them; a program can change the field, too.
setInterval(() => {
  const field = document.querySelector("#prompt textarea");
  const counter = document.querySelector(".parley-count");
  if (!field || !counter) return;
  const most = Number(counter.dataset.most);
  const now = field.value.length > most / 2 ? [...field.value].length : field.value.length;
  const text = now > most / 2 ? `${now.toLocaleString("en")} of ${most.toLocaleString("en")} characters` : "";
  if (counter.textContent === text) return;
  counter.textContent = text;
  counter.classList.toggle("parley-over", now > most);
}, 250);
// A token of an answer: what both models found likely there. A click on one of these lets the answer go on from it.
const card = Object.assign(document.createElement("div"), { className: "parley-pop", hidden: true });
const sign = (value) => (value > 0 ? "+" : "") + value.toFixed(2);
let held = null;
function showToken(token) {
  const known = JSON.parse(token.dataset.token);
  held = token;
  const line = document.createElement("p");
  line.textContent = `${known.text}  log p ${known.logp.map((p) => p.toFixed(2)).join(" / ")}, difference ${sign(known.difference)}, KL ${known.kl.toFixed(3)} nats`;
  const sides = Object.assign(document.createElement("div"), { className: "parley-sides" });
  known.tops.forEach((top, side) => {
    const list = document.createElement("div");
    list.append(Object.assign(document.createElement("p"), { className: "parley-soft", textContent: known.names[side] }));
    for (const [id, text, p] of top) {
      const button = Object.assign(document.createElement("button"), { type: "button", title: "go on from this token" });
      button.append(Object.assign(document.createElement("span"), { textContent: text }), p.toFixed(3));
      button.addEventListener("click", () => {
        const field = document.querySelector("#token-choice textarea, #token-choice input");
        field.value = JSON.stringify({ pane: known.pane, at: known.at, token: id, other: known.other, n: Date.now() });
        field.dispatchEvent(new Event("input", { bubbles: true }));
        hideToken(true);
      });
      list.append(button);
    }
    sides.append(list);
  });
  card.replaceChildren(line, sides);
  (document.querySelector(".gradio-container") ?? document.body).append(card);
  card.hidden = false;
  const place = token.getBoundingClientRect();
  const frame = card.offsetParent?.getBoundingClientRect() ?? { left: 0, top: 0 };
  card.style.left = `${Math.max(4, Math.min(place.left, innerWidth - card.offsetWidth - 8)) - frame.left}px`;
  card.style.top = `${place.bottom + 4 - frame.top}px`;
}
function hideToken(back) {
  if (back && held?.isConnected) held.focus();
  card.hidden = true;
}
document.addEventListener("mouseover", (event) => {
  const token = event.target.closest?.(".parley-tok");
  if (token) showToken(token);
  else if (!card.hidden && ![card, held].some((each) => each.contains(event.target) || each.contains(document.activeElement)))
    hideToken(); // what the keyboard opened stays, though the page moves under a resting mouse
});
document.addEventListener("focusin", (event) => {
  const token = event.target.closest?.(".parley-tok");
  if (token) showToken(token);
  else if (!card.contains(event.target)) card.hidden = true;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !card.hidden) return hideToken(true);
  const token = event.target.closest?.(".parley-tok");
  if (!token) return;
  const next = { ArrowRight: token.nextElementSibling, ArrowLeft: token.previousElementSibling }[event.key];
  if (next) next.focus();
  else if (["Enter", "ArrowDown", " "].includes(event.key)) card.querySelector("button")?.focus();
  else return;
  event.preventDefault();
});
