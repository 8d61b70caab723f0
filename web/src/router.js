// Which page is shown: the part of the address behind #, so that the webserver serves one file.

import { signal } from "@preact/signals";

const read = () => location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map((part) => {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
});

export const route = signal(read());
window.addEventListener("hashchange", () => {
  route.value = read();
});

export function open(hash) {
  location.hash = hash;
}
