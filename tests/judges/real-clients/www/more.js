// The second script of the page; app.js looks at what it leaves behind.
globalThis.moreLoaded = true;
