/**
 * Has the questions of one turn of the event loop answered together: a thousand sockets that connect at once ask the
 * database a few dozen times. An answer is of a moment after its question, as it would be alone.
 * @param ask answers questions in their order. A failure is that of each of them
 * @param weightOf how much work a question is
 * @param most what the questions of one batch may weigh together: a statement must not take long
 */
export function batched<Question, Answer>(
  ask: (questions: Question[]) => Promise<Answer[]>,
  weightOf: (question: Question) => number,
  most = 5000,
): (question: Question) => Promise<Answer> {
  let batch: { questions: Question[]; weight: number; answers: Promise<Answer[]> } | null = null;

  function begin(): NonNullable<typeof batch> {
    const questions: Question[] = [];
    const { promise: answers, resolve } = Promise.withResolvers<Answer[]>();
    const begun = { questions, weight: 0, answers };
    setImmediate(() => {
      if (batch === begun) batch = null;
      resolve(ask(questions));
    });
    return begun;
  }

  return async (question) => {
    const weight = weightOf(question);
    if (batch === null || batch.weight + weight > most) batch = begin();
    const { questions, answers } = batch;
    batch.weight += weight;
    const nth = questions.push(question) - 1;
    return (await answers)[nth] as Answer;
  };
}
