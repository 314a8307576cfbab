// dom describes elements and brings the page to the description in place: elements that stay keep
// their focus, selection and scroll position. All text is text: nothing is ever read as HTML.
const svgTags = new Set(["svg", "g", "path", "line", "circle", "rect"]);
const asProperty = new Set(["value", "checked", "selected", "disabled", "hidden", "open"]);

// h describes an element. Children may be text, descriptions, lists of both, or nothing.
export function h(tag, props, ...children) {
  return {tag, props: props || {}, children: children.flat(Infinity).filter(c => c !== null && c !== undefined && c !== false).map(c => c.tag ? c : String(c))};
}

function setProp(element, name, value, before) {
  if (name === "key" || value === before && name !== "value") return;
  if (name.startsWith("on")) element[name] = value;
  else if (asProperty.has(name)) {
    const typing = name === "value" && element === document.activeElement; // what is being typed stays
    if (value !== before && element[name] !== value && !typing) element[name] = value ?? "";
  } else if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : value);
}

function create(described) {
  if (typeof described === "string") return document.createTextNode(described);
  const element = svgTags.has(described.tag) ? document.createElementNS("http://www.w3.org/2000/svg", described.tag) : document.createElement(described.tag);
  patch(element, described.children); // options before the value of their select
  for (const [name, value] of Object.entries(described.props)) if (value !== undefined) setProp(element, name, value);
  element.described = described;
  return element;
}

function update(node, described) {
  if (typeof described === "string") {
    if (node.data !== described) node.data = described;
    return;
  }
  const before = node.described.props;
  patch(node, described.children);
  for (const name of Object.keys(before)) if (!(name in described.props)) setProp(node, name, name.startsWith("on") ? null : undefined, before[name]);
  for (const [name, value] of Object.entries(described.props)) setProp(node, name, value, before[name]);
  node.described = described;
}

const fits = (node, described) => typeof described === "string" ? node.nodeType === 3
  : node.described?.tag === described.tag && node.described.props.key === described.props.key;

// patch makes the children of an element those that are described.
export function patch(parent, children) {
  const keyed = new Map(), wanted = new Set(children.map(c => c.props?.key));
  for (const node of [...parent.childNodes]) {
    const key = node.described?.props.key;
    if (key === undefined) continue;
    if (wanted.has(key)) keyed.set(key, [...keyed.get(key) || [], node]); // several have one key where their page mistakes them
    else node.remove(); // so that those behind it stay where they are
  }
  let at = parent.firstChild;
  for (const described of children) {
    const key = described.props?.key;
    let node = key !== undefined ? keyed.get(key)?.shift() : at;
    if (node && fits(node, described)) update(node, described);
    else {
      node = create(described);
      const replaced = at && key === undefined && at.described?.props.key === undefined ? at : null;
      parent.insertBefore(node, at);
      if (replaced) { at = replaced.nextSibling; replaced.remove() }
      continue;
    }
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
  while (at) { const next = at.nextSibling; at.remove(); at = next }
}
