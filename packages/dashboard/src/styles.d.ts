// Style sheets are for their effect on the page.
declare module '*.css';
