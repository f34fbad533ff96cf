// Package access says who may use a server and how much of it: API keys with
// their names, scopes and limits, kept as digests in a file that people can read
// and edit.
//
// It holds no HTTP and no clock of its own: the server asks it who a key belongs
// to, and the command `penstock key` changes the file through it.
//
// A line of the file is one key:
//
//	alice sha256:9f86d0… scopes=infer models=smollm2 requests-per-minute=60
//
// or, as before there were names, the key itself:
//
//	sk-some-secret
//
// Only the SHA-256 of a key is stored. The keys that `penstock key add` makes have
// 256 random bits, which nobody can find by trying. Slow hashes such as bcrypt
// protect passwords, which people choose and others guess; for random keys they
// would only cost time on each request.
package access
