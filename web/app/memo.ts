import { Component, type ComponentType, createElement, type FunctionComponent } from "preact";

/**
 * A component that is drawn again only when one of its props is another object or value, as React's `memo` does.
 * Preact has that in its layer for React alone.
 */
export function memo<Props extends object>(Inner: FunctionComponent<Props>): ComponentType<Props> {
  return class Memo extends Component<Props> {
    override shouldComponentUpdate(next: Readonly<Props>): boolean {
      const now = this.props as Readonly<Props>;
      return (Object.keys({ ...now, ...next }) as (keyof Props)[]).some((key) => next[key] !== now[key]);
    }
    override render() {
      return createElement(Inner, this.props);
    }
  };
}
