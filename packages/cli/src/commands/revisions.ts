// SPDX-License-Identifier: MIT
// pkslab revisions

import {
  type ChoiceSlice,
  type RevisionInfo,
  type RevisionName,
  revisionInfo,
  revisionNames,
} from '@pkslab/kernel';
import { programmeSlices } from '@pkslab/selftests';
import { type Command, runCommand, suggestion, UsageError } from '../options.ts';

const spec = {
  name: 'revisions',
  summary: 'Lists the revisions of the series, or shows the design choices of some side by side.',
  options: { json: { type: 'boolean', help: 'One JSON document on stdout' } },
  positionals: [
    { name: 'NAME', help: `Revisions to compare: ${revisionNames.join(', ')}`, count: 'any' },
  ],
  notes: [
    'A choice that differs is marked with *. --with CHOICE=VALUE of other commands replaces one.',
  ],
  examples: [
    'pkslab revisions',
    'pkslab revisions rfc-v2 reference',
    'pkslab revisions v10 --json',
  ],
} as const;

/** One design choice in the revisions that were asked for. */
interface ChoiceRow {
  readonly choice: string;
  readonly text: string;
  readonly values: readonly string[];
  /** The revisions do not agree. */
  readonly differs: boolean;
}

/** Lists all, or the choices of those that were named. */
export const revisions: Command = (args, io) =>
  runCommand(spec, args, io, ({ options, positionals }) => {
    const names = positionals.map(revisionOf);
    if (names.length === 0) {
      io.stdout(options.json ? json(listed()) : revisionNames.map(entry).join('\n'));
      return 0;
    }
    const choices = rowsOf(names);
    const about = Object.fromEntries(names.map((name) => [name, revisionInfo[name]]));
    io.stdout(
      options.json
        ? json({ revisions: about, choices })
        : `${heads(names)}\n${table(names, choices)}`,
    );
    return 0;
  });

function json(document: object): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

function revisionOf(name: string): RevisionName {
  const known: readonly string[] = revisionNames;
  if (known.includes(name)) return name as RevisionName;
  throw new UsageError(
    `no revision ${name}: there is ${known.join(', ')}.${suggestion(name, known)}`,
  );
}

function listed(): object {
  return { revisions: revisionNames.map((name) => ({ name, ...revisionInfo[name] })) };
}

function entry(name: RevisionName): string {
  const info = revisionInfo[name];
  return [
    `${name}: ${info.title}`,
    ...origin(info),
    ...info.changes.map((line) => `  - ${line}`),
    '',
  ].join('\n');
}

function origin({ date, messageIds, patches }: RevisionInfo): string[] {
  if (date === null) return ['  never posted; the default of pkslab'];
  return [`  ${date}, ${patches} patches`, ...messageIds.map((id) => `  <${id}>`)];
}

function heads(names: readonly RevisionName[]): string {
  return names
    .map(
      (name) =>
        `${name}: ${revisionInfo[name].title}, ${revisionInfo[name].date ?? 'never posted'}\n`,
    )
    .join('');
}

function rowsOf(names: readonly RevisionName[]): ChoiceRow[] {
  return programmeSlices.flatMap((slice) =>
    Object.keys(slice.values).map((c) => row(slice, c, names)),
  );
}

function row(slice: ChoiceSlice, choice: string, names: readonly RevisionName[]): ChoiceRow {
  const values = names.map((name) => slice.revisions[name][choice] as string);
  return {
    choice,
    text: slice.texts?.[choice] ?? '',
    values,
    differs: values.some((value) => value !== values[0]),
  };
}

function table(names: readonly RevisionName[], rows: readonly ChoiceRow[]): string {
  const cells = [
    [' ', 'choice', ...names, 'meaning'],
    ...rows.map(({ choice, values, text, differs }) => [
      differs ? '*' : ' ',
      choice,
      ...values,
      text,
    ]),
  ];
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((line) => line[column]?.length ?? 0)),
  );
  return cells
    .map(
      (line) =>
        `${line
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
