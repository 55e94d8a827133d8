/** esbuild takes a style sheet that a script imports into the page's own. */
declare module "*.css";
