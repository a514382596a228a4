// the order of search results: chapters before what is made for maintainers
var Scorer = {
  objNameMatch: 11, objPartialMatch: 6, objPrio: {0: 15, 1: 5, 2: -5}, objPrioDefault: 0,
  title: 15, partialTitle: 7, term: 5, partialTerm: 2,
  score: ([page, , , , score]) => score + (/^([0-6]\d_|glossary)/.test(page) ? 10
    : /^(exercises|solutions|reference)\//.test(page) ? -5 : 0),
};
