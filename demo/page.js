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
// Gradio's slider tells of a change when the pointer goes up and when its number loses the focus.
document.addEventListener("keyup", (event) => {
  const moves = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];
  if (moves.includes(event.key) && event.target.matches?.("#step input[type=range]"))
    event.target.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches?.("#step input[type=number]")) event.target.blur();
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
