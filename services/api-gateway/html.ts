const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

/** Escapes text for HTML, and marks up what Markdown has within a line: code between backticks, and links. */
export const html = (text: string): string =>
  escape(text)
    .replace(/`([^`]*)`/g, "<code>$1</code>")
    .replace(/\[([^\]]*)\]\((\/[^)\s]*)\)/g, '<a href="$2">$1</a>');

export const htmlDocument = (title: string, head: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${html(title)}</title>
<link rel="icon" href="data:,">
${head}
</head>
<body>
${body}
</body>
</html>
`;

/** JSON as a block of code. */
export const jsonBlock = (value: unknown): string => `<pre>${escape(JSON.stringify(value, null, 2))}</pre>`;
