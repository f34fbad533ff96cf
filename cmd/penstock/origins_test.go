package main

import "testing"

func TestPageFlags(t *testing.T) {
	for _, f := range []pageFlags{
		{}, {CORSOrigin: "*"}, {CORSOrigin: "https://a.example"}, {AllowedOrigins: []string{"http://localhost:3000", "*"}}, {AllowedHosts: []string{"my.box", "*"}},
	} {
		if err := f.check(); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
	}
	for _, f := range []pageFlags{
		{CORSOrigin: "a.example"}, {CORSOrigin: "https://a.example/page"}, {AllowedOrigins: []string{""}}, {AllowedOrigins: []string{"https://a.example", "b"}},
		{AllowedHosts: []string{"https://my.box"}}, {AllowedHosts: []string{"my.box:80"}}, {AllowedHosts: []string{""}},
	} {
		if err := f.check(); err == nil {
			t.Errorf("%+v is accepted", f)
		}
	}
}
