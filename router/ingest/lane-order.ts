/** Work of one lane runs beside each other and ends in the order in which it began. */
export class LaneOrder {
  /** The last work of each lane; a lane without work is absent. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** The result of `work`, which never rejects, once the lane's earlier work has ended. */
  inOrder<Result>(lane: string, work: Promise<Result>): Promise<Result> {
    const before = this.#last.get(lane);
    const result = before === undefined ? work : before.then(() => work);
    this.#last.set(lane, result);
    void result.then(() => {
      if (this.#last.get(lane) === result) this.#last.delete(lane);
    });
    return result;
  }
}
