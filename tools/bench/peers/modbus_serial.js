// A Modbus TCP server and client on the npm package modbus-serial, with the words of libmodbus.c beside it.
"use strict";
const ModbusRTU = require("modbus-serial");
const readline = require("readline");

const [, , mode, ...rest] = process.argv;
const lines = readline.createInterface({ input: process.stdin });
const say = (text) => process.stdout.write(text + "\n");

function refusal(code) {
    return Object.assign(new Error("refused"), { modbusErrorCode: code });
}

function serve(unit, count) {
    const words = new Array(count).fill(0);
    const coils = new Array(count).fill(false);
    const inputs = new Array(count).fill(false);
    const units = new Set();
    const within = (address) => {
        if (address >= count) throw refusal(2);
        return address;
    };
    const vector = {
        getHoldingRegister: (address, unitId) => {
            units.add(unitId);
            return words[within(address)];
        },
        getDiscreteInput: (address) => inputs[within(address)],
        setCoil: (address, value) => {
            coils[within(address)] = value;
        },
        setRegister: (address, value, unitId) => {
            units.add(unitId);
            words[within(address)] = value;
        },
    };
    const server = new ModbusRTU.ServerTCP(vector, { host: "127.0.0.1", port: 0, unitID: 255 });
    server.on("initialized", () => say("port " + server._server.address().port));
    server.on("error", () => {}); // a client that resets the connection
    server.on("socketError", () => {});
    lines.on("line", (line) => {
        const [command, ...numbers] = line.split(" ");
        const [address, ...values] = numbers.map(Number);
        if (command === "read") say(["ok", ...words.slice(address, address + values[0])].join(" "));
        else if (command === "coils") say(["ok", ...coils.slice(address, address + values[0]).map(Number)].join(" "));
        else if (command === "inputs") {
            values.forEach((value, i) => (inputs[address + i] = value !== 0));
            say("ok");
        } else if (command === "units") say(["ok", ...units].join(" "));
        else {
            values.forEach((value, i) => (words[address + i] = value));
            say("ok");
        }
    });
    lines.on("close", () => process.exit(0));
}

async function beClient(host, port, unit) {
    const client = new ModbusRTU();
    await client.connectTCP(host, { port });
    client.setID(unit);
    client.setTimeout(5000);
    const calls = {
        fc1: (address, [n]) => client.readCoils(address, n),
        fc2: (address, [n]) => client.readDiscreteInputs(address, n),
        fc3: (address, [n]) => client.readHoldingRegisters(address, n),
        fc4: (address, [n]) => client.readInputRegisters(address, n),
        fc5: (address, [bit]) => client.writeCoil(address, bit !== 0),
        fc6: (address, [word]) => client.writeRegister(address, word),
        fc15: (address, bits) => client.writeCoils(address, bits.map((bit) => bit !== 0)),
        fc16: (address, words) => client.writeRegisters(address, words),
    };
    say("ok");
    for await (const line of lines) {
        const [name, ...numbers] = line.split(" ");
        const [address, ...values] = numbers.map(Number);
        try {
            const { data } = await calls[name](address, values);
            const read = ["fc1", "fc2", "fc3", "fc4"].includes(name);
            say(["ok", ...(read ? data.slice(0, values[0]).map(Number) : [])].join(" "));
        } catch (error) {
            say(error.modbusCode ? "exception " + error.modbusCode : "error " + error.message);
        }
    }
    process.exit(0);
}

if (mode === "server") serve(Number(rest[0]), Number(rest[1]));
else beClient(rest[0], Number(rest[1]), Number(rest[2]));
