// Says in the title that everything has arrived, and puts the very bytes the browser holds into the document, so
// that the test can compare them with the origin's files.
"use strict";

// Synchronous on purpose: the document is dumped right after the load event, and nothing asynchronous would make
// it in time. The answers come from the browser's own cache, which holds what the page has just loaded.
function bytesOf(file) {
    const request = new XMLHttpRequest();
    request.open("GET", file, false);
    request.overrideMimeType("text/plain; charset=x-user-defined");
    request.send();
    return btoa(Array.from(request.responseText, c => String.fromCharCode(c.charCodeAt(0) & 0xff)).join(""));
}

addEventListener("load", () => {
    const pictures = Array.from(document.images).filter(image => image.naturalWidth === 64).length;
    const styled = getComputedStyle(document.body).outlineWidth === "7px";
    for (const file of ["index.html", "style.css", "app.js", "more.js", "one.png", "two.png", "three.svg"]) {
        const holder = document.createElement("pre");
        holder.dataset.file = file;
        holder.textContent = bytesOf(file);
        document.body.append(holder);
    }
    document.title = `ready: ${pictures} pictures, styled ${styled}, more ${globalThis.moreLoaded === true}`;
});
