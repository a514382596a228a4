// What Sphinx doesn't do for paper: open the folds, number the chapters, and list them with pages.
parts => {
  document.querySelectorAll("details").forEach(d => d.open = true);
  const make = (tag, className, text) => Object.assign(document.createElement(tag), {className, textContent: text});
  const list = document.createElement("ol"), nav = document.createElement("nav");
  for (const h1 of document.querySelectorAll("h1")) {
    const page = h1.closest("section"), name = page.closest("[id^=document-]") ?? page.previousElementSibling;
    const number = /^document-(\d\d)_/.exec(name?.id ?? "")?.[1];
    if (number && !h1.textContent.startsWith(number)) h1.prepend(`${number} `);
    h1.id = `title-${list.children.length}`;
    if (parts[number]) list.append(make("li", "part", parts[number]));
    const item = make("li", "", ""), link = make("a", "", h1.textContent);
    link.href = `#${h1.id}`;
    item.append(link, make("span", "dots", ""), make("span", "page", "000"));
    list.append(item);
  }
  nav.append(make("h1", "", "Contents"), list);
  document.querySelector(".front").after(nav);
  return [...list.querySelectorAll("a")].map(a => a.textContent);
}
