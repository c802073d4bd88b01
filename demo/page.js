// What only a browser can do: save a file, compose a link. Each function returns the new value of its field.
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
  link(query) {
    const address = location.origin + location.pathname + "?" + query;
    history.replaceState(null, "", address);
    navigator.clipboard?.writeText(address).catch(() => {});
    return address;
  },
};
