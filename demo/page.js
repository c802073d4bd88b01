// What only a browser can do: save a file, put a link together. Each function gives back what its field shows after.
window.parley = {
  save(parcel) {
    if (!parcel) return "";
    const { name, text } = JSON.parse(parcel);
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
