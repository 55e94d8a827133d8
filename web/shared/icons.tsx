/** Icons: 16 units wide, drawn with the text's colour, and silent for screen readers. */
import type { ComponentChildren } from "preact";

const Icon = ({ size = 16, children }: { size?: number; children: ComponentChildren }) => (
  <svg
    width={size}
    height={size}
    viewBox="0 0 16 16"
    fill="none"
    stroke="currentColor"
    stroke-width="1.6"
    stroke-linecap="round"
    stroke-linejoin="round"
    aria-hidden="true"
    focusable="false"
  >
    {children}
  </svg>
);

export const Logo = () => (
  <Icon size={22}>
    <path d="M1.5 8h3l2-4.5 3 9 2-4.5h3" />
    <circle cx="1.5" cy="8" r=".9" fill="currentColor" />
    <circle cx="14.5" cy="8" r=".9" fill="currentColor" />
  </Icon>
);
export const SearchIcon = () => (
  <Icon>
    <circle cx="7" cy="7" r="4.5" />
    <path d="m10.5 10.5 3.5 3.5" />
  </Icon>
);
export const Plus = () => (
  <Icon>
    <path d="M8 3.5v9M3.5 8h9" />
  </Icon>
);
export const Close = () => (
  <Icon>
    <path d="m4 4 8 8M12 4l-8 8" />
  </Icon>
);
export const Down = () => (
  <Icon size={12}>
    <path d="m3 6 5 5 5-5" />
  </Icon>
);
export const Pulse = () => (
  <Icon>
    <path d="M1.5 8.5h3l2-5 3 9 2-4h3" />
  </Icon>
);
export const Person = () => (
  <Icon>
    <circle cx="8" cy="5.2" r="2.7" />
    <path d="M2.8 14c.5-3 2.6-4.6 5.2-4.6s4.7 1.6 5.2 4.6" />
  </Icon>
);
export const Calendar = () => (
  <Icon size={14}>
    <rect x="2" y="3" width="12" height="11" rx="2" />
    <path d="M2 6.500h12M5.5 1.500v3M10.5 1.500v3" />
  </Icon>
);
export const Bubble = () => (
  <Icon size={14}>
    <path d="M2.5 3.500h11v7.500h-6l-3 2.500v-2.500h-2z" />
  </Icon>
);
export const Trash = () => (
  <Icon>
    <path d="M2.5 4.500h11M6 4.500V2.500h4v2M4 4.500l.7 9h6.600l.7-9" />
  </Icon>
);
/** One to three bars, as mobile phones show their reception; urgent ones have a mark. */
export const Bars = ({ level }: { level: number }) => (
  <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true" focusable="false">
    {level === 3 ? (
      <path
        fill="currentColor"
        d="M2.5 1h9A1.5 1.5 0 0 1 13 2.500v9a1.5 1.5 0 0 1-1.5 1.500h-9A1.5 1.5 0 0 1 1 11.500v-9A1.5 1.5 0 0 1 2.5 1Zm3.6 2 .3 4.800h1.200L7.9 3Zm.9 6a1 1 0 1 0 0 2 1 1 0 0 0 0-2Z"
      />
    ) : (
      [0, 1, 2].map((bar) => (
        <rect
          key={bar}
          x={1 + bar * 4.5}
          y={9 - bar * 3.5}
          width="3"
          height={4 + bar * 3.5}
          rx="1"
          fill="currentColor"
          opacity={bar <= level ? 1 : 0.28}
        />
      ))
    )}
  </svg>
);
