package jinja

// expr is an expression of a template; eval never returns a Go error, it
// panics with a failure that Render recovers.
type expr interface{ eval(in *interp) Value }

// stmt is a statement; exec tells whether a loop has to break or continue.
type stmt interface{ exec(in *interp) control }

type control uint8

const (
	proceed control = iota
	breakLoop
	continueLoop
)

// Expressions.
type (
	constant  struct{ v Value }
	nameExpr  struct{ name string }
	listExpr  struct{ items []expr }
	tupleExpr struct{ items []expr }
	dictExpr  struct{ keys, vals []expr }
	condExpr  struct{ test, then, els expr } // els may be nil
	orExpr    struct{ a, b expr }
	andExpr   struct{ a, b expr }
	notExpr   struct{ a expr }
	negExpr   struct{ a expr }
	posExpr   struct{ a expr }
	binExpr   struct {
		op   string
		a, b expr
	}
	sumExpr     struct{ parts []expr } // a + b + …, two or more
	concatExpr  struct{ parts []expr }
	compareExpr struct {
		first expr
		ops   []string
		rest  []expr
	}
	attrExpr struct {
		obj  expr
		name string
	}
	itemExpr  struct{ obj, key expr }
	sliceExpr struct{ start, stop, step expr } // each may be nil
	callExpr  struct {
		fn   expr
		args callArgs
	}
	filterExpr struct {
		in   expr // nil inside {% filter %} and {% set x | f %}
		name string
		args callArgs
	}
	testExpr struct {
		in   expr
		name string
		args callArgs
	}
)

// callArgs are the arguments as written at a call.
type callArgs struct {
	pos    []expr
	names  []string
	named  []expr
	star   expr // *args, or nil
	starKw expr // **kwargs, or nil
}

// Statements.
type (
	textStmt   struct{ text string }
	outputStmt struct{ value expr }
	ifStmt     struct {
		tests  []expr
		bodies [][]stmt
		els    []stmt
	}
	forStmt struct {
		target    target
		in, test  expr // test may be nil
		body, els []stmt
		recursive bool
	}
	setStmt struct {
		target target
		value  expr
	}
	setBlockStmt struct {
		target target
		filter expr // a chain of filterExpr that ends in nil, or nil
		body   []stmt
	}
	withStmt struct {
		targets []target
		values  []expr
		body    []stmt
	}
	macroStmt struct{ def *macroDef }
	callStmt  struct {
		call callExpr
		def  *macroDef // the body, callable as caller()
	}
	filterStmt struct {
		filter expr
		body   []stmt
	}
	scopeStmt struct{ body []stmt } // block, generation, autoescape
	jumpStmt  struct{ to control }
)

// target is what an assignment writes to: a name, namespace.attr or a tuple.
type target struct {
	name  string
	attr  string   // of a namespace
	parts []target // of a tuple
}

type macroDef struct {
	name       string
	params     []string
	defaults   []expr // of the last parameters
	body       []stmt
	usesArgs   bool // the body mentions varargs
	usesKwargs bool // … kwargs
	usesCaller bool // … caller
}
