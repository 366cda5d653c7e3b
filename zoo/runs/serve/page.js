"use strict";

const find = id => document.getElementById(id);

// A class name can contain any character. These would hide or reverse the text around them.
const unsafe = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff\p{Surrogate}]/gu;
const escape = char => "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0");
const printable = text => text.replace(unsafe, escape);

let about = { max_bytes: Infinity };
let asked = 0;
let shown;

const ask = async (path, options) => {
  const response = await fetch(path, options);
  const answer = await response.json().catch(() => ({ error: response.statusText || "no answer" }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
};

const showError = message => {
  find("error").textContent = printable(message);
  find("error").hidden = !message;
  if (message) find("result").hidden = true;
};

const makeRow = ({ label, probability }) => {
  const row = document.createElement("tr");
  const name = document.createElement("th");
  const value = document.createElement("td");
  const bar = document.createElement("div");
  const filled = document.createElement("div");
  name.scope = "row";
  name.textContent = printable(label);
  bar.className = "bar";
  filled.style.width = 100 * probability + "%";
  bar.append(filled);
  name.append(bar);
  value.textContent = (100 * probability).toFixed(1) + "%";
  row.append(name, value);
  return row;
};

const showAnswer = (file, answer) => {
  if (shown) URL.revokeObjectURL(shown);
  shown = URL.createObjectURL(file);
  find("image").src = shown;
  find("name").textContent = printable(file.name);
  find("saliency").hidden = !answer.saliency;
  if (answer.saliency) find("map").src = "data:image/jpeg;base64," + answer.saliency;
  find("classes").replaceChildren(...answer.top.map(makeRow));
  find("result").hidden = false;
};

const classify = async file => {
  const number = ++asked;
  showError("");
  if (file.size > about.max_bytes) {
    showError(`The image has ${file.size.toLocaleString("en")} bytes; the limit is ${about.max_bytes.toLocaleString("en")}.`);
    return;
  }
  document.body.classList.add("busy");
  try {
    const answer = await ask("predict?saliency=true", { method: "POST", body: file });
    if (number === asked) showAnswer(file, answer);
  } catch (error) {
    if (number === asked) showError(error.message);
  } finally {
    if (number === asked) document.body.classList.remove("busy");
  }
};

// Some browsers cannot show every format that the model reads, such as TIFF.
find("image").addEventListener("error", () => { find("image").hidden = true; });
find("image").addEventListener("load", () => { find("image").hidden = false; });
find("file").addEventListener("change", event => {
  if (event.target.files.length) classify(event.target.files[0]);
  event.target.value = "";
});
addEventListener("dragover", event => { event.preventDefault(); find("drop").classList.add("over"); });
addEventListener("dragleave", () => find("drop").classList.remove("over"));
addEventListener("drop", event => {
  event.preventDefault();
  find("drop").classList.remove("over");
  if (event.dataTransfer.files.length) classify(event.dataTransfer.files[0]);
});

find("command").textContent = `curl --data-binary @photo.jpg '${location.origin}/predict?top=3'`;
ask("info").then(found => {
  about = found;
  document.title = find("run").textContent = printable(found.run);
  find("about").textContent = `${printable(found.backbone)}, ${found.classes.length.toLocaleString("en")} classes`;
}).catch(error => showError(error.message));
