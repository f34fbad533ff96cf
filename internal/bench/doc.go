// Package bench has no code of its own: it is the folder of the measurements, one package for each question.
//
//	loadtest  how one server behaves under load; load sends the requests
//	peers     how several servers compare; programs starts and stops them
//	layers    where the time goes between the model's arithmetic and the client
//	steps     what a model's step is made of
//	scaling   what more threads bring
//	contexts  what long contexts cost
//	kernels   how fast the matrix products are; limits says what the machine can do at best
//	grammar   which schemas are served right, and how long the masks take
//	structured   what a schema costs a running model
//	speculation  what guessing tokens ahead gains and costs
//	report    the history of results, and whether two of them differ; results is what all results share
//
// stats does the arithmetic. draw and figure turn results into pictures, for cmd/penstock-figures alone: the server does not link
// a plotting library. Each measurement is a struct of options with a Run method, which cmd/penstock fills
// from the command line. Nothing here serves requests, and nothing judges the quality of an output.
package bench
