// Copies the files of the editor to dist/, under the names that the read side serves.
import { copyFileSync, mkdirSync } from 'node:fs';

const files = {
  'index.html': 'index.html',
  'main.js': 'main.js',
  'react.js': 'node_modules/react/umd/react.production.min.js',
  'react-dom.js': 'node_modules/react-dom/umd/react-dom.production.min.js',
  'graphiql.js': 'node_modules/graphiql/graphiql.min.js',
  'graphiql.css': 'node_modules/graphiql/graphiql.min.css',
};

mkdirSync('dist', { recursive: true });
for (const [name, source] of Object.entries(files)) {
  copyFileSync(source, `dist/${name}`);
}
