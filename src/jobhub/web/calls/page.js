// Shows the document the page links to. A file of its own, so that no script in a page has to be allowed.
window.SwaggerUIBundle({
  url: document.querySelector('link[rel="service-desc"]').href,
  dom_id: "#calls",
  deepLinking: true,
  presets: [window.SwaggerUIBundle.presets.apis],
});
