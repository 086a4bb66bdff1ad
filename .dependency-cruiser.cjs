// The package layering, as rules that fail the build. Lowest layer first.
const layers = [
  'x86-cpu',
  'kernel',
  'pks-core',
  'memremap',
  'kmap',
  'dax',
  'pmem',
  'selftests',
  'cli',
];

/**
 * A pattern for imports of these packages, whether the import resolves to a folder of the
 * workspace or (not built, not listed as a dependency) stays a bare name.
 */
const anyOf = (names) => {
  const folders = `packages/(${names.join('|')})/`;
  const scoped = `@pkslab/(${names.join('|')})($|/)`;
  return `^(${folders}|${scoped}${names.includes('cli') ? '|pkslab($|/)' : ''})`;
};

/** A layer may import the ones before it in the list, never one after it. */
const upward = layers.slice(0, -1).map((layer, i) => ({
  name: `${layer}-imports-no-higher-layer`,
  severity: 'error',
  from: { path: `^packages/${layer}/` },
  to: { path: anyOf(layers.slice(i + 1)) },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'src-never-imports-test',
      severity: 'error',
      from: { path: '^packages/[^/]+/src' },
      to: { path: '(^|/)test/' },
    },
    {
      name: 'no-reaching-into-another-package',
      comment: 'Import the package by name: its exports map is the contract.',
      severity: 'error',
      from: { path: '^packages/([^/]+)/' },
      to: { path: '^packages/[^/]+/(src|test)/', pathNot: '^packages/$1/' },
    },
    {
      name: 'no-relative-import-of-another-package',
      comment: 'Import the package by name: its exports map is the contract.',
      severity: 'error',
      from: { path: '^packages/([^/]+)/' },
      to: { path: '^packages/', pathNot: '^packages/$1/', dependencyTypes: ['local'] },
    },
    {
      name: 'browser-code-never-imports-node-folder',
      comment: 'src/node is the /node entry: everything else runs in a browser too.',
      severity: 'error',
      from: { path: '^packages/([^/]+)/src/', pathNot: '^packages/[^/]+/src/node/' },
      to: { path: '^packages/$1/src/node/' },
    },
    {
      name: 'explore-stands-on-cpu-and-kernel',
      severity: 'error',
      from: { path: '^packages/explore/' },
      to: { path: anyOf(layers.filter((layer) => layer !== 'x86-cpu' && layer !== 'kernel')) },
    },
    {
      name: 'no-src-below-selftests-imports-explore',
      comment: 'Only its tests may, from pks-core up.',
      severity: 'error',
      from: { path: '^packages/', pathNot: '^packages/(explore/|selftests/|cli/|[^/]+/test/)' },
      to: { path: anyOf(['explore']) },
    },
    {
      name: 'cpu-and-kernel-tests-import-no-explore',
      comment: 'explore stands on these two; their scenarios live in selftests.',
      severity: 'error',
      from: { path: '^packages/(x86-cpu|kernel)/' },
      to: { path: anyOf(['explore']) },
    },
    ...upward,
  ],
  options: {
    doNotFollow: { path: ['node_modules', '/dist/'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'default'],
    },
  },
};
